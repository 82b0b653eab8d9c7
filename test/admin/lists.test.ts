import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, idsOf, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** Lists: whole as the vendor's, and in pages for those who ask. */

let api: ApiGate

beforeAll(async () => {
  api = await startApiGate()
  for (const name of ['a', 'b', 'c & d', 'e', 'f']) await api.make(name, [onDomain])
}, 60_000)
afterAll(() => api.place.remove())

/** Follows the links from a first page to the last. */
async function follow(first: string) {
  const pages: number[][] = []
  for (let path: string | undefined = first; path !== undefined; ) {
    const answer = await api.ask('GET', path)
    expect(answer.status).toBe(200)
    pages.push(idsOf(answer))
    path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1]
  }
  return pages
}

test('a list that nobody asked to cut is whole, and points nowhere', async () => {
  const whole = await api.ask('GET', '/api/api_tokens')
  expect(idsOf(whole)).toHaveLength(8)
  expect(whole.headers.get('link')).toBeNull()
})

test('pages lead from one to the next until each token was shown once', async () => {
  const whole = idsOf(await api.ask('GET', '/api/api_tokens'))
  const pages = await follow('/api/api_tokens?limit=3')
  expect(pages.map((page) => page.length)).toEqual([3, 3, 2])
  expect(pages.flat()).toEqual(whole)
  expect(await follow('/api/accounts/1/api_tokens?limit=8')).toEqual([whole])
  expect((await follow(`/api/api_tokens?after=${whole[3]}`)).flat()).toEqual(whole.slice(4))
})

test('what was searched for is searched for on every page', async () => {
  const { body } = await api.ask('GET', `/api/api_tokens?search=${encodeURIComponent('C & D')}`)
  expect(body).toMatchObject([{ name: 'c & d' }])
  const pages = await follow('/api/api_tokens?limit=1&search=acme')
  expect(pages.map((page) => page.length)).toEqual([1, 1])
})

test('accesses and audit events come in pages too, events newest first', async () => {
  const accesses = await follow('/api/account_accesses?specifier_type=ApiToken&limit=5')
  expect(accesses.map((page) => page.length)).toEqual([5, 3])
  const events = await follow('/api/audit_events?limit=4')
  expect(events.flat()).toEqual(events.flat().toSorted((a, b) => b - a))
  expect(events.flat().length).toBeGreaterThan(8)
})

test('the audit trail speaks the words of the API, before and after', async () => {
  const { id } = await api.make('watched', [onDomain])
  await api.ask(
    'PATCH',
    `/api/api_tokens/${id}`,
    json({ resources: [{ ...onDomain, access_level: 10 }] }),
  )
  await api.ask('POST', `/api/api_tokens/${id}/reset`)
  const { body } = await api.ask('GET', '/api/audit_events?limit=3')
  expect(body.map(({ action }: any) => action)).toEqual([
    'token.reset',
    'token.created',
    'token.permissions_changed',
  ])
  expect(body[2]).toMatchObject({
    actor: { name: 'Boss', token_id: api.admin.id },
    before: { name: 'watched', resources: [onDomain], window_ends_at: null },
    after: { resources: [{ ...onDomain, access_level: 10 }] },
  })
  expect(Date.parse(body[0].after.window_ends_at)).toBeGreaterThan(Date.now())
})

test.each(['limit=0', 'limit=1001', 'limit=x', 'after=-1', 'after=1e99', 'search=', 'search=%00'])(
  'no list is asked for with %s',
  async (query) => {
    expect((await api.ask('GET', `/api/api_tokens?${query}`)).status).toBe(422)
  },
)
