import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ask, createApiClient, json } from '../helpers/api-client.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'

/** The management API of a running gate, as existing clients speak it. */

let place: Workplace
let gate: RunningProgram
let admin: { id: number; token: string }
let ask: Ask

beforeAll(async () => {
  place = createWorkplace()
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  await place.json('account', 'create', 'Other')
  await place.json('domain', 'add', 'other.test', '--account', '2')
  const call = ['token', 'create', '--account', '1', '--name', 'Boss', '--account-level', 'admin']
  admin = await place.json(...call)
  gate = await place.start('dev')
  ask = (await createApiClient(gate.ready.admin, admin.token)).ask
}, 60_000)
afterAll(() => place.remove())

const onDomain = { resource_type: 'domain', resource_id: 1, access_level: 100 }

async function send(bearerToken: string): Promise<number> {
  const answer = await fetch(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      from: { email: 'a@acme.test' },
      to: [{ email: 'b@c.test' }],
      subject: 'x',
      text: 'x',
    }),
  })
  return answer.status
}

test('a deletion answers with a receipt when no gate accepts the token any more; repeated, it waits and answers again', async () => {
  const made = await ask('POST', '/api/api_tokens', json({ name: 'x', resources: [onDomain] }))
  expect(made.status).toBe(200)
  expect(await send(made.body.token)).toBe(200)
  for (let call = 0; call < 2; call++) {
    const deleted = await ask('DELETE', `/api/api_tokens/${made.body.id}`)
    expect(deleted).toMatchObject({ status: 204, body: null })
    expect(deleted.headers.get('postern-revocation')).toMatch(
      /^epoch=\d+, confirmed=1, fenced=0, ms=\d+\.\d$/,
    )
    expect(await send(made.body.token)).toBe(401)
  }
})

test('changes are counted by how far they had got when they answered', async () => {
  const { body } = await ask('POST', '/api/api_tokens', json({ name: 'x', resources: [onDomain] }))
  await ask('DELETE', `/api/api_tokens/${body.id}`)
  const metrics = await (await fetch(`${gate.ready.admin}/metrics`)).text()
  expect(metrics).toMatch(/postern_changes_total\{outcome="confirmed"\} [1-9]/)
  expect(metrics).toMatch(/postern_change_confirmation_seconds_count [1-9]/)
})

test('a token that never was is 404, with what every node knows by then', async () => {
  const missing = await ask('DELETE', '/api/api_tokens/99999')
  expect(missing).toMatchObject({ status: 404, body: { error: 'Not Found' } })
  expect(missing.headers.get('postern-revocation')).toMatch(/^epoch=/)
})

test('each generation of paths speaks its own words, and shows no secret', async () => {
  const [one] = (await ask('GET', '/api/accounts/1/api_tokens')).body
  expect(Object.keys(one)).toEqual([
    'resources',
    'id',
    'name',
    'last_4_digits',
    'created_by',
    'expires_at',
  ])
  expect(one.resources[0].resource_type).toBe('sending_domain')
  const [same] = (await ask('GET', '/api/api_tokens')).body
  expect(same.resources[0].resource_type).toBe('domain')
})

test('a call with an Idempotency-Key makes one token, and shows it again', async () => {
  const call = () =>
    ask(
      'POST',
      '/api/api_tokens',
      json({ name: 'once', resources: [onDomain] }, { 'idempotency-key': 'k-1' }),
    )
  const [first, second] = [await call(), await call()]
  expect(second).toMatchObject({ status: 200, body: first.body })
})

describe('what a caller may', () => {
  test('is nothing in another account', async () => {
    const path = '/api/accounts/2/api_tokens'
    const refused = { status: 403, body: { errors: 'Account access forbidden' } }
    expect(await ask('GET', path)).toMatchObject(refused)
    const foreign = { resource_type: 'domain', resource_id: 2, access_level: 100 }
    const made = await ask('POST', '/api/api_tokens', json({ name: 'x', resources: [foreign] }))
    expect(made).toMatchObject({ status: 403, body: { errors: 'Access forbidden' } })
    // The token of the other account's domain.
    expect((await ask('GET', '/api/api_tokens/2')).status).toBe(404)
  })

  test('is what its own permissions cover', async () => {
    const made = await ask(
      'POST',
      '/api/api_tokens',
      json({ name: 'small', resources: [onDomain] }),
    )
    const { token } = made.body
    const account = { resource_type: 'account', resource_id: 1, access_level: 10 }
    const body = json({ name: 'x', resources: [account] })
    expect((await ask('POST', '/api/api_tokens', { ...body, token })).status).toBe(403)
    expect((await ask('GET', `/api/api_tokens/${admin.id}`, { token })).status).toBe(404)
    const ids = (await ask('GET', '/api/api_tokens', { token })).body.map(
      (t: { id: number }) => t.id,
    )
    expect(ids).toContain(made.body.id)
    expect(ids).not.toContain(admin.id)
  })

  test('ends with its token: an unknown one is 401, whatever it asks', async () => {
    for (const token of ['nobody', 'pst_nobody']) {
      const answer = await ask('GET', '/api/api_tokens', { token })
      expect(answer).toMatchObject({ status: 401, body: { error: 'Incorrect API token' } })
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  })
})

test('the last lasting token of a domain stays, and the answer names the domain', async () => {
  const tokens = (await ask('GET', '/api/api_tokens')).body as { id: number; name: string }[]
  const holders = tokens.filter(({ id }) => id !== admin.id)
  const answers = []
  for (const { id } of holders) answers.push(await ask('DELETE', `/api/api_tokens/${id}`))
  const refused = answers.filter(({ status }) => status === 403)
  expect(refused).toHaveLength(1)
  expect(refused[0]?.body.errors).toContain('acme.test')
})

test.each<[string, RequestInit, number]>([
  ['no JSON', { body: '{', headers: { 'content-type': 'application/json' } }, 400],
  ['no permissions', json({ name: 'x', resources: [] }), 422],
  ['nothing', {}, 422],
  ['a list', json([]), 422],
  ['a blank name', json({ name: ' ', resources: [onDomain] }), 422],
  ['a control character in the name', json({ name: 'a\u0007', resources: [onDomain] }), 422],
  ['an unknown level', json({ name: 'x', resources: [{ ...onDomain, access_level: 7 }] }), 422],
  ['an id that is none', json({ name: 'x', resources: [{ ...onDomain, resource_id: '1x' }] }), 422],
  ['an unknown domain', json({ name: 'x', resources: [{ ...onDomain, resource_id: 999 }] }), 403],
  [
    'a past expiry',
    json({ name: 'x', resources: [onDomain], expires_at: '2001-01-01T00:00:00Z' }),
    422,
  ],
  [
    'a malformed key',
    json({ name: 'x', resources: [onDomain] }, { 'idempotency-key': 'a b' }),
    400,
  ],
])('a call to create with %s is refused, in JSON', async (_name, more, status) => {
  const answer = await ask('POST', '/api/api_tokens', more)
  expect(answer.status).toBe(status)
  expect(answer.body).toMatchObject(status === 400 ? { error: expect.any(String) } : {})
})
