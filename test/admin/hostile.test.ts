import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, onAccount, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** What nobody should send: answered in JSON, as the caller's mistake, and nothing is changed by it. */

let api: ApiGate
/** Each may call so often; together they may call often enough. */
let tokens: readonly string[]
let calls = 0

beforeAll(async () => {
  api = await startApiGate()
  const made = Array.from({ length: 12 }, (_, i) => api.make(`caller ${i}`, [onAccount]))
  tokens = (await Promise.all(made)).map(({ token }) => token)
}, 60_000)
afterAll(() => api.place.remove())

const nextToken = () => tokens[calls++ % tokens.length] ?? ''
const nothing = 99_999

const bodies: readonly [string, string | Uint8Array<ArrayBuffer>][] = [
  ['half of JSON', '{"name":'],
  ['a list', '[]'],
  ['a text', '"x"'],
  ['null', 'null'],
  ['a number', '7'],
  ['bytes that are no UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ['a NUL', '\u0000'],
  ['lists in lists', '['.repeat(200_000)],
  ['a form', 'name=x&resources[]=1'],
  [
    'wrong types throughout',
    '{"name":[],"resources":{},"expires_at":[],"window":true,"permissions":7,"domain":[],"from":{}}',
  ],
  [
    'names that objects have by themselves',
    '{"__proto__":{"name":"x"},"constructor":1,"toString":2,"hasOwnProperty":3,"window":-1}',
  ],
  [
    'control characters and half of a pair',
    '{"name":"a\\u0000b","domain":{"domain_name":"a\\u0000.test"},"from":"\\ud800@acme.test","token_id":1,"permissions":[],"resources":[{"resource_type":"domain","resource_id":1,"access_level":100}],"window":"\\u0000"}',
  ],
  [
    'ids that are none',
    '{"name":"x","token_id":1e400,"from":"a@b.test","resources":[{"resource_type":"domain","resource_id":1e308,"access_level":100}],"permissions":[{"resource_type":"domain","resource_id":"99999999999999999999","access_level":1}],"domain":{"domain_name":7},"window":-1}',
  ],
]

test.each(bodies)('no operation falls over %s', async (_what, body) => {
  const served = await fetch(`${api.gate.ready.admin}/openapi.json`)
  const { paths } = (await served.json()) as any
  const operations = Object.entries<any>(paths).flatMap(([path, item]) =>
    Object.entries<any>(item)
      .filter(([, { requestBody }]) => requestBody !== undefined)
      .map(([method]) => [method.toUpperCase(), path] as const),
  )
  expect(operations.length).toBeGreaterThan(12)
  const before = (await api.ask('GET', '/api/api_tokens', { token: nextToken() })).body
  for (const [method, template] of operations) {
    for (const id of [1, 3, nothing, 999_999_999_999_999]) {
      if (id !== 1 && !template.includes('{id}')) continue
      const path = template.replace('{account_id}', '1').replace('{id}', String(id))
      const headers = { 'content-type': 'application/json' }
      const answer = await api.ask(method, path, { token: nextToken(), headers, body })
      // To change nothing of a domain or of permissions is no mistake, nor is it to ask about nonsense.
      const harmless = /domains\/|bulk|explain/.test(template)
      const allowed = [400, 404, 422, ...(harmless ? [200, 403] : [])]
      expect(allowed, `${method} ${path}: ${JSON.stringify(answer.body)}`).toContain(answer.status)
    }
  }
  expect((await api.ask('GET', '/api/api_tokens', { token: nextToken() })).body).toEqual(before)
})

const resource = (more: object) => ({ name: 'x', resources: [{ ...onDomain, ...more }] })

test.each<[string, object, number]>([
  ['a negative id', resource({ resource_id: -1 }), 422],
  ['no id', resource({ resource_id: 0 }), 422],
  ['a broken id', resource({ resource_id: 1.5 }), 422],
  ['an id beyond every integer', resource({ resource_id: 2 ** 60 }), 422],
  ['an id that is null', resource({ resource_id: null }), 422],
  ['a list for an id', resource({ resource_id: [1] }), 422],
  ['an id that nothing has', resource({ resource_id: nothing }), 403],
  ['a domain of another account', resource({ resource_id: 3 }), 403],
  ['another account', resource({ resource_type: 'account', resource_id: 2 }), 403],
  ['an account that is not there', resource({ resource_type: 'account', resource_id: 9 }), 403],
  ['a kind of resource that is not here', resource({ resource_type: 'inbox' }), 422],
  ['the level of an owner', resource({ access_level: 1000 }), 422],
  ['a level that is none', resource({ access_level: 'Admin' }), 422],
  ['a name that is too long', { ...resource({}), name: 'n'.repeat(256) }, 422],
  [
    'more permissions than any token has',
    { name: 'x', resources: Array(10_001).fill(onDomain) },
    422,
  ],
])('no token is made with %s', async (_what, body, status) => {
  const made = await api.ask('POST', '/api/api_tokens', { token: nextToken(), ...json(body) })
  expect(made.status).toBe(status)
})

test('of a name that is given twice the last one counts, for the check and for the use', async () => {
  const resources = `"resources":[${JSON.stringify(onDomain)}]`
  const twice = (first: string, second: string) =>
    api.ask('POST', '/api/api_tokens', {
      token: nextToken(),
      body: `{"name":"${first}",${resources},"name":"${second}"}`,
    })
  expect((await twice('one', 'two')).body.name).toBe('two')
  expect((await twice('one', ' ')).status).toBe(422)
})

test('permissions on one resource that are given twice are one, and the last counts', async () => {
  const resources = [onDomain, { ...onDomain, access_level: 10 }]
  const made = await api.ask('POST', '/api/api_tokens', {
    token: nextToken(),
    ...json({ name: 'x', resources }),
  })
  expect(made.body.resources).toEqual([{ ...onDomain, access_level: 10 }])
})

test.each([
  ['that is announced', {}],
  ['that is not', { duplex: 'half' }],
])(
  'a body beyond all measure %s is refused, and its connection can be used again',
  async (_how, more) => {
    const text = JSON.stringify({ name: 'n'.repeat(3 * 1024 * 1024) })
    for (let round = 0; round < 3; round++) {
      const send = () => {
        const body = 'duplex' in more ? new Blob([text]).stream() : text
        return api.ask('POST', '/api/api_tokens', {
          token: nextToken(),
          ...more,
          body,
        } as RequestInit)
      }
      const refused = await Promise.all([send(), send(), send()])
      expect(refused.map(({ status }) => status)).toEqual([413, 413, 413])
      const next = await Promise.all(
        [1, 2, 3].map(() => api.ask('GET', '/api/accounts', { token: nextToken() })),
      )
      expect(next.map(({ status }) => status)).toEqual([200, 200, 200])
    }
  },
)

test.each([
  '/api/api_tokens/0',
  '/api/api_tokens/abc',
  '/api/api_tokens/-1',
  '/api/api_tokens/1.5',
  '/api/api_tokens/9999999999999999999',
  '/api/api_tokens/1%2e%2e',
  '/api/api_tokens/%E0%A4',
  '/api/api_tokens/1/',
  '/api/accounts/1/api_tokens/%00',
  '/api//api_tokens',
  '/api/',
])('there is nothing at %s', async (path) => {
  const answer = await api.ask('GET', path, { token: nextToken() })
  expect(answer).toMatchObject({ status: 404, body: { error: 'Not Found' } })
})

test.each<[string, Record<string, string>, number]>([
  ['no credential', { authorization: '' }, 401],
  ['another scheme', { authorization: 'Basic eDp5' }, 401],
  ['an empty token', { authorization: 'Bearer ' }, 401],
  ['a token of our form that never was', { authorization: `Bearer pst_${'a'.repeat(36)}` }, 401],
  ['a very long token', { authorization: `Bearer ${'a'.repeat(4_000)}` }, 401],
  ['two credentials', { 'api-token': 'x' }, 400],
])('a call with %s is not served', async (_what, headers, status) => {
  const answer = await api.ask('GET', '/api/api_tokens', { token: nextToken(), headers })
  expect(answer.status).toBe(status)
})

test('the header of the vendor’s own command line is a credential too', async () => {
  const response = await fetch(`${api.gate.ready.admin}/api/accounts`, {
    headers: { 'api-token': nextToken() },
  })
  expect(response.status).toBe(200)
})
