import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** A reset and what becomes of its window, over the API. */

let api: ApiGate

beforeAll(async () => {
  api = await startApiGate()
}, 60_000)
afterAll(() => api.place.remove())

const path = (id: number) => `/api/api_tokens/${id}`
const reset = (id: number, body?: object, headers = {}) =>
  api.ask('POST', `${path(id)}/reset`, body === undefined ? { headers } : json(body, headers))
const move = (id: number, window: unknown) =>
  api.ask('PATCH', `${path(id)}/reset`, json({ window }))
const undo = (id: number) => api.ask('DELETE', `${path(id)}/reset`)
/** How far ahead an answer's end lies, in hours. */
const hoursLeft = ({ body }: { body: any }) =>
  (Date.parse(body.expires_at) - Date.now()) / 3_600_000

test('old and new work, the old one shows its end, and the successor carries its own id', async () => {
  const old = await api.make('app', [onDomain])
  const made = await reset(old.id)
  expect(made.body).toMatchObject({
    name: `app ${made.body.id}`,
    resources: [onDomain],
    created_by: 'Boss',
    expires_at: null,
  })
  expect(hoursLeft(await api.ask('GET', path(old.id)))).toBeCloseTo(12, 1)
  expect([await api.send(old.token), await api.send(made.body.token)]).toEqual([200, 200])
})

test('a second reset is refused, and names the successor', async () => {
  const old = await api.make('app', [onDomain])
  const { body } = await reset(old.id)
  const again = await reset(old.id)
  expect(again).toMatchObject({
    status: 422,
    body: { errors: { base: [expect.stringContaining(`its successor is ${body.id}`)] } },
  })
})

test('a name keeps its number through further resets: the own id is replaced', async () => {
  const first = await api.make('app 7', [onDomain])
  const second = (await reset(first.id)).body
  const third = (await reset(second.id)).body
  expect([second.name, third.name]).toEqual([`app 7 ${second.id}`, `app 7 ${third.id}`])
})

test('a window of 0 ends the old token before it is answered', async () => {
  const old = await api.make('leaked', [onDomain])
  const made = await reset(old.id, { window: 0 })
  expect(made.headers.get('postern-revocation')).toMatch(/confirmed=1/)
  expect([await api.send(old.token), await api.send(made.body.token)]).toEqual([401, 200])
})

test.each([
  ['30d', 720],
  ['90m', 1.5],
])('a window can be chosen: %s', async (window, hours) => {
  const old = await api.make('app', [onDomain])
  expect((await reset(old.id, { window })).status).toBe(200)
  expect(hoursLeft(await api.ask('GET', path(old.id)))).toBeCloseTo(hours, 1)
})

test.each([['31d'], [-1], [5], ['soon'], [null], [{}], ['999999999d']])(
  'no window is %s',
  async (window) => {
    const old = await api.make('app', [onDomain])
    expect((await reset(old.id, { window })).status).toBe(422)
    expect((await api.ask('GET', path(old.id))).body.expires_at).toBeNull()
  },
)

test('a running window is extended, shortened, and ended at once', async () => {
  const old = await api.make('app', [onDomain])
  await reset(old.id, { window: '1h' })
  expect(hoursLeft(await move(old.id, '48h'))).toBeCloseTo(48, 1)
  expect(hoursLeft(await move(old.id, '2h'))).toBeCloseTo(2, 1)
  expect((await move(old.id, '31d')).status).toBe(422)
  const ended = await move(old.id, 0)
  expect(ended.headers.get('postern-revocation')).toMatch(/confirmed=1/)
  expect(await api.send(old.token)).toBe(401)
  for (const late of [await move(old.id, '1h'), await undo(old.id), await reset(old.id)]) {
    expect(late.status).toBe(422)
  }
})

test('a reset is taken back while its window runs, and the successor stays', async () => {
  const old = await api.make('app', [onDomain])
  const made = (await reset(old.id)).body
  expect(await undo(old.id)).toMatchObject({ status: 200, body: { id: old.id, expires_at: null } })
  expect([await api.send(old.token), await api.send(made.token)]).toEqual([200, 200])
  expect((await undo(old.id)).status).toBe(422)
  expect((await move(old.id, '1h')).status).toBe(422)
})

test('the expiry of a successor is its predecessor’s, or what the call says', async () => {
  const expires_at = new Date(Date.now() + 9 * 86_400_000).toISOString()
  const make = async () => {
    const body = { name: 'x', resources: [onDomain], expires_at }
    return (await api.ask('POST', '/api/api_tokens', json(body))).body.id
  }
  expect((await reset(await make())).body.expires_at).toBe(expires_at)
  expect((await reset(await make(), { expires_at: null })).body.expires_at).toBeNull()
  const other = new Date(Date.now() + 86_400_000).toISOString()
  expect((await reset(await make(), { expires_at: other })).body.expires_at).toBe(other)
  const past = await reset(await make(), { expires_at: '2001-01-01T00:00:00Z' })
  expect(past).toMatchObject({
    status: 422,
    body: { errors: { base: ['Expiration date must be in the future'] } },
  })
})

test('a reset with an Idempotency-Key makes one successor, and shows it again', async () => {
  const old = await api.make('app', [onDomain])
  const key = { 'idempotency-key': 'reset-1' }
  const [first, second] = [
    await reset(old.id, { window: 0 }, key),
    await reset(old.id, { window: 0 }, key),
  ]
  expect(second).toMatchObject({ status: 200, body: first.body })
  const other = await reset(old.id, { window: '1h' }, key)
  expect(other).toMatchObject({ status: 422, body: { errors: { base: [expect.any(String)] } } })
})

test('a token is shown again from its sealed copy, and each time stands in the audit trail', async () => {
  const made = await api.make('app', [onDomain])
  const shown = await api.ask('POST', `${path(made.id)}/reveal`)
  expect(shown).toMatchObject({ status: 200, body: { id: made.id, token: made.token } })
  const [event] = (await api.ask('GET', '/api/audit_events?limit=1')).body
  expect(event).toMatchObject({
    action: 'token.revealed',
    actor: { name: 'Boss', token_id: api.admin.id, origin: '127.0.0.1' },
    subject: { type: 'token', id: made.id },
  })
})
