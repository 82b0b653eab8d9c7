import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { createApi, type Management } from '../../src/admin/api.ts'
import { createTokenRate } from '../../src/limits/token-rate.ts'
import { createWindowCounts } from '../../src/limits/window-counts.ts'
import type { Caller } from '../../src/service/callers.ts'
import type { Receipt, TokenRecord } from '../../src/service/ports/registry.ts'
import { readDescription } from '../helpers/api-description.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

/** What the API says when a change is not confirmed, when the store is away, and when it is asked too often. */

const caller: Caller = {
  tokenId: 1,
  accountId: 1,
  name: 'Boss',
  origin: '192.0.2.1',
  grants: [{ resource: { type: 'account', id: 1 }, level: 'admin' }],
}
const record: TokenRecord = {
  id: 2,
  accountId: 1,
  name: 'app',
  lastFour: 'abcd',
  createdBy: 'Boss',
  createdAt: 0,
  grants: [],
  expiresAt: null,
  windowEndsAt: null,
  resetAt: null,
  successorId: null,
  rate: null,
}
const successor = { record, bearerToken: 's' }
const pending: Receipt = {
  epoch: 12,
  propagation: 'pending',
  confirmed: 2,
  fenced: 0,
  waitingFor: ['node-3'],
  ms: 12_000,
}
const done = <T>(value: T) => ({ done: true, value, receipt: pending }) as const

/** Answers every change with the same outcome. */
function apiOf(tokens: object, findCaller: Management['findCaller'] = async () => caller) {
  const clock = createFakeClock()
  const counts = createWindowCounts({ clock, maxKeys: 10 })
  const rate = createTokenRate(counts, { limit: 150, windowMs: 10_000 })
  const limits = { rate, clientAddress: (address: string) => address }
  const management = { findCaller, tokens, domains: {}, account: {} } as unknown as Management
  const faults: unknown[] = []
  const log = { error: (fault: unknown) => faults.push(fault) } as never
  const app = createApi({ management, limits, clock, log, version: 'test' })

  async function ask(method: string, path: string, body = '') {
    const incoming = Object.assign(Readable.from([Buffer.from(body)]), {
      headers: {},
      rawHeaders: ['Authorization', 'Bearer x'],
      socket: { remoteAddress: '192.0.2.1' },
    })
    const response = await app.request(path, { method }, { incoming, outgoing: {} })
    const text = await response.text()
    const description = readDescription(await (await app.request('/openapi.json')).json())
    const { status, headers } = response
    description.check(method, path, { status, contentType: headers.get('content-type'), text })
    return { status, headers, body: text === '' ? null : JSON.parse(text) }
  }
  return { ask, clock, faults, app }
}

test.each<[string, string, string, object, object]>([
  ['remove', 'DELETE', '/api/api_tokens/2', { deleted: true }, {}],
  ['remove', 'DELETE', '/api/api_tokens/9', { deleted: false }, {}],
  ['remove', 'DELETE', '/api/account_accesses/2', { deleted: true }, { id: 2 }],
  ['reset', 'POST', '/api/api_tokens/2/reset', { successor }, { token: 's' }],
  ['undoReset', 'DELETE', '/api/api_tokens/2/reset', record, { id: 2 }],
])(
  'a %s that is not confirmed is 202, says what is waited for, and keeps no secret back',
  async (name, method, path, value, shown) => {
    const { ask } = apiOf({ [name]: async () => done(value) })
    const answer = await ask(method, path)
    expect(answer).toMatchObject({
      status: 202,
      body: {
        ...shown,
        propagation: 'pending',
        epoch: 12,
        waiting_for: ['node-3'],
        confirmed_by: null,
      },
    })
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(answer.headers.get('postern-revocation')).toBe(
      'epoch=12, confirmed=2, fenced=0, ms=12000.0',
    )
  },
)

test('while the store is away nobody is told that the token is wrong', async () => {
  const { ask, faults } = apiOf({}, async () => {
    throw new Error('the database is down')
  })
  const answer = await ask('GET', '/api/api_tokens')
  expect(answer).toMatchObject({ status: 503, body: { error: expect.any(String) } })
  expect(answer.headers.get('retry-after')).toBe('2')
  expect(answer.headers.get('www-authenticate')).toBeNull()
  expect(faults).toHaveLength(1)
})

test('a caller that is gone by the time of its change is told what it would be told next', async () => {
  const refusal = { done: false, refusal: { reason: 'caller-gone' } }
  const { ask } = apiOf({ remove: async () => refusal })
  const answer = await ask('DELETE', '/api/api_tokens/2')
  expect(answer).toMatchObject({ status: 401, body: { error: 'Incorrect API token' } })
})

test('a token calls 150 times in 10 seconds, and others go on', async () => {
  let tokenId = 1
  const { ask, clock } = apiOf({ get: async () => record }, async () => ({ ...caller, tokenId }))
  for (let call = 1; call <= 150; call++) {
    const answer = await ask('GET', '/api/api_tokens/2')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-ratelimit-remaining')).toBe(String(150 - call))
  }
  const refused = await ask('GET', '/api/api_tokens/2')
  expect(refused).toMatchObject({ status: 429, body: { errors: 'Rate limit exceeded' } })
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(10)
  expect(refused.headers.get('x-ratelimit-remaining')).toBe('0')
  tokenId = 2
  expect((await ask('GET', '/api/api_tokens/2')).status).toBe(200)
  tokenId = 1
  clock.advance(10_000)
  expect((await ask('GET', '/api/api_tokens/2')).status).toBe(200)
})

test('the reference page needs nothing but itself, and names every operation', async () => {
  const { app } = apiOf({})
  const response = await app.request('/docs')
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
  const page = await response.text()
  expect(page).not.toMatch(/<script|<link|src=|https?:\/\//)
  const { paths, openapi } = (await (await app.request('/openapi.json')).json()) as any
  expect(openapi).toBe('3.1.0')
  for (const path of Object.keys(paths)) expect(page).toContain(`</span>${path}</code>`)
})
