import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, onAccount, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** May this token send as that, and why? */

let api: ApiGate
let app: { id: number; token: string }

beforeAll(async () => {
  api = await startApiGate()
  app = await api.make('app', [onDomain])
}, 60_000)
afterAll(() => api.place.remove())

const explain = async (body: object, token = api.admin.token) =>
  (await api.ask('POST', '/api/explain', { token, ...json(body) })).body

test('a token is explained by its id and by itself, alike, as the gates decide', async () => {
  const allowed = { allowed: true, reason: null, domain: 'acme.test', token_id: app.id }
  expect(await explain({ token_id: app.id, from: 'a@acme.test' })).toMatchObject(allowed)
  expect(await explain({ token: app.token, from: 'acme.test', protocol: 'smtp' })).toMatchObject({
    ...allowed,
    protocol: 'smtp',
    rule: expect.stringContaining('administers acme.test'),
  })
  const refused = { allowed: false, reason: 'not-domain-admin' }
  expect(await explain({ token_id: app.id, from: 'a@acme.example' })).toMatchObject(refused)
  expect(await api.send(app.token, 'acme.example')).toBe(403)
  const sub = await explain({ token_id: app.id, from: 'a@mail.acme.test' })
  expect(sub).toMatchObject({ allowed: false, reason: 'unknown-domain' })
  const address = await explain({ token_id: app.id, from: 'nobody' })
  expect(address).toMatchObject({ allowed: false, reason: 'bad-address', domain: null })
})

test('tokens and domains of others are as ones that are not there', async () => {
  const foreign = (await api.place.json('token', 'reveal', '3')).token
  const unknown = { allowed: false, reason: 'unknown-token', token_id: null }
  expect(await explain({ token: foreign, from: 'a@other.test' })).toMatchObject(unknown)
  expect(await explain({ token_id: 3, from: 'a@other.test' })).toMatchObject(unknown)
  const mistyped = await explain({ token: 'pst_nobody', from: 'a@acme.test' })
  expect(mistyped).toMatchObject({ ...unknown, reason: 'malformed-token' })
  const other = await explain({ token_id: api.admin.id, from: 'a@other.test' })
  expect(other).toMatchObject({ allowed: false, reason: 'unknown-domain' })
  const boss = await api.make('boss', [onAccount])
  const above = await explain({ token_id: boss.id, from: 'a@acme.test' }, app.token)
  expect(above).toMatchObject(unknown)
})

test('either the token or its id is given', async () => {
  for (const body of [
    { from: 'a@acme.test' },
    { from: 'a@acme.test', token: 'x', token_id: 1 },
    { token_id: 1 },
    { token_id: 1, from: 'a@acme.test', protocol: 'imap' },
  ]) {
    expect((await api.ask('POST', '/api/explain', json(body))).status).toBe(422)
  }
})
