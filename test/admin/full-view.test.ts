import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, idsOf, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** `view=full`: what Postern knows of a token beyond the vendor's keys, for those who ask for it. */

let api: ApiGate

beforeAll(async () => {
  api = await startApiGate({ POSTERN_ACCOUNT_DOMAINS: 'allow' })
}, 60_000)
afterAll(() => api.place.remove())

const vendorKeys = ['resources', 'id', 'name', 'last_4_digits', 'created_by', 'expires_at']

test('a reset token shows its own expiry beside the end of its window, and its successor both', async () => {
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const request = json({ name: 'x', resources: [onDomain], expires_at: expiresAt })
  const { body: made } = await api.ask('POST', '/api/api_tokens?view=full', request)
  expect(made).toMatchObject({
    account_id: 1,
    lifetime: {
      created_at: expect.any(String),
      expires_at: expiresAt,
      reset_at: null,
      window_ends_at: null,
      successor_id: null,
    },
  })
  const path = `/api/api_tokens/${made.id}`
  const { body: successor } = await api.ask('POST', `${path}/reset?view=full`)
  const { replaces } = successor
  expect(replaces).toMatchObject({
    id: made.id,
    lifetime: { expires_at: expiresAt, successor_id: successor.id },
  })
  expect(replaces.expires_at).toBe(replaces.lifetime.window_ends_at)
  expect((await api.ask('GET', `${path}?view=full`)).body).toEqual(replaces)
  const window = json({ window: '1h' })
  const { body: shortened } = await api.ask('PATCH', `${path}/reset?view=full`, window)
  expect(shortened.lifetime.window_ends_at < replaces.lifetime.window_ends_at).toBe(true)
  const { body: undone } = await api.ask('DELETE', `${path}/reset?view=full`)
  expect(undone.lifetime).toMatchObject({ window_ends_at: null, successor_id: null })
})

test('who does not ask gets the keys of the vendor and no other', async () => {
  const made = await api.make('plain', [onDomain])
  expect(Object.keys(made).sort()).toEqual([...vendorKeys, 'token'].sort())
  const reset = await api.ask('POST', `/api/api_tokens/${made.id}/reset`)
  expect(Object.keys(reset.body).sort()).toEqual([...vendorKeys, 'token'].sort())
  const listed = await api.ask('GET', '/api/api_tokens')
  for (const token of listed.body) expect(Object.keys(token).sort()).toEqual([...vendorKeys].sort())
})

test('the token of a domain that was just added comes with it, and may send', async () => {
  const body = { domain: { domain_name: 'new.test' } }
  const added = await api.ask('POST', '/api/domains?view=full', json(body))
  expect(added.body.token.name).toBe(`new.test token ${added.body.token.id}`)
  expect(await api.send(added.body.token.token, 'new.test')).toBe(200)
  const plain = await api.ask('POST', '/api/domains', json({ domain: { domain_name: 'b.test' } }))
  expect(plain.body).not.toHaveProperty('token')
})

test('tokens are listed by the domains that they have a permission on', async () => {
  const { body: domains } = await api.ask('GET', '/api/domains')
  const { id } = domains.data.find((one: any) => one.domain_name === 'acme.example')
  const path = `/api/api_tokens?domain_ids[]=${id}`
  expect(idsOf(await api.ask('GET', path))).toEqual([2])
  expect(idsOf(await api.ask('GET', `${path}&limit=5`))).toEqual([2])
})
