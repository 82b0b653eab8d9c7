import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { createAssertionSigner } from '../../src/assertion/signer.ts'
import { createRecentTokens } from '../../src/cache/recent-tokens.ts'
import { readCredential } from '../../src/core/credential-fields.ts'
import { createSenderScanner } from '../../src/core/sender-scanner.ts'
import { mintToken } from '../../src/core/token.ts'
import { createLog } from '../../src/log.ts'
import { createRoster } from '../../src/roster.ts'
import { type AuthenticatorDeps, createAuthenticator } from '../../src/service/authenticate.ts'
import type { AssertionSlot } from '../../src/service/ports/assertions.ts'
import { createTestKeyRing } from '../helpers/key-ring.ts'
import { createMemoryNode } from '../helpers/memory-node.ts'

/**
 * What a request costs, in what does not depend on how busy the machine is: look-ups, promises, bytes that V8 allocated, and
 * bytes that outlive a scavenge. The limits leave half as much again as room; none of them is a time.
 */

setFlagsFromString('--expose-gc')
const collect: (options: { readonly type: 'minor' | 'major' }) => void = runInNewContext('gc')

/** Of each of many, when V8 has compiled what it wants to. */
function bytesOf(work: () => unknown): number {
  const count = 10_000
  for (let i = 0; i < 3 * count; i++) work()
  const before = allocated()
  for (let i = 0; i < count; i++) work()
  return (allocated() - before) / count
}

function allocated(): number {
  const { total_allocated_bytes: bytes } = getHeapStatistics() as { total_allocated_bytes?: number }
  if (bytes === undefined) throw new Error('this Node does not count what is allocated')
  return bytes
}

/** What is still there after a scavenge, of each of many. */
function bytesLeftBy(work: () => unknown): number {
  const count = 10_000
  for (let i = 0; i < count; i++) work()
  collect({ type: 'major' })
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < count; i++) work()
  collect({ type: 'minor' })
  return (process.memoryUsage().heapUsed - before) / count
}

const token = mintToken('pst_', (length) => new Uint8Array(length).fill(7))
const domain = 'example.com'

/** A gate that has the token and its domain in memory. */
async function stage(more: Pick<AuthenticatorDeps, 'recentTokens'> = {}) {
  const looked = { memory: 0, shared: 0, store: 0 }
  const node = createMemoryNode({ onLookup: (tier) => void looked[tier]++ })
  node.store.allow(token, [domain])
  const { lookup, trust, clock } = node
  const authenticator = createAuthenticator({ lookup, trust, clock, tokenPrefix: 'pst_', ...more })
  const fields = ['Host', 'gate', 'Content-Type', 'application/json']
  fields.push('Authorization', `Bearer ${token}`)
  function check() {
    const credential = readCredential(fields)
    if (credential.found !== 'one') throw new Error('the credential was not found')
    const presented = authenticator.present(credential.bearerToken)
    if (presented === undefined) throw new Error('the token was not understood')
    return authenticator.authorise(presented, [domain])
  }
  expect((await check()).allowed).toBe(true)
  Object.assign(looked, { memory: 0, store: 0 })
  return { check, looked }
}

test('a check that the last clearance of a token answers looks nothing up, and allocates less than a kilobyte', async () => {
  const { check, looked } = await stage({ recentTokens: createRecentTokens(100) })
  expect(check()).toMatchObject({ allowed: true })
  expect(looked).toEqual({ memory: 0, shared: 0, store: 0 })
  expect(bytesOf(check)).toBeLessThan(1_000)
  expect(bytesLeftBy(check)).toBeLessThan(100)
})

test('a check of a token in memory, without an earlier clearance, asks nobody, waits for nothing, and allocates little', async () => {
  const { check, looked } = await stage()
  expect(check()).toMatchObject({ allowed: true })
  expect(looked).toEqual({ memory: 2, shared: 0, store: 0 })
  expect(bytesOf(check)).toBeLessThan(2_500)
  expect(bytesLeftBy(check)).toBeLessThan(100)
})

test('a scan of a body keeps nothing, and allocates little', () => {
  const text = 'Hello, this is the text of a message. '.repeat(22)
  const message = { from: { email: `hello@${domain}` }, to: [{ email: 'you@example.net' }], text }
  const body = Buffer.from(JSON.stringify(message))
  function scan() {
    const scanner = createSenderScanner('send')
    if (!scanner.write(body) || !scanner.end().ok) throw new Error('the body was refused')
  }
  expect(bytesOf(scan)).toBeLessThan(3_500)
  expect(bytesLeftBy(scan)).toBeLessThan(100)
})

test('what comes and goes in a roster leaves nothing behind', () => {
  const roster = createRoster<object>()
  const leave = Array.from({ length: 60 }, () => roster.enter({}))
  let i = 0
  function comeAndGo() {
    const at = i++ % leave.length
    leave[at]?.()
    leave[at] = roster.enter({ kilobyte: new Array(100).fill(i) })
  }
  // With a `Set` 800: its dead tables keep what was in them.
  expect(bytesLeftBy(comeAndGo)).toBeLessThan(100)
})

test('an assertion that is fresh is handed out again', async () => {
  const clock = { now: () => 0, monotonic: () => 0, uptime: () => 0 }
  const signer = createAssertionSigner({
    keyRing: createTestKeyRing(clock),
    clock,
    issuer: 'https://gate.test',
  })
  const request = {
    audience: 'https://api.test',
    principal: { tokenId: 1, accountId: 1, standing: 'active', endsAt: null },
    senders: [domain],
    protocol: 'http',
  } as const
  const slot: AssertionSlot = { assertion: undefined }
  await signer.sign(slot, request)
  expect(bytesOf(() => signer.sign(slot, request))).toBeLessThan(300)
})

test('a line of the log allocates little more than its text', () => {
  const log = createLog('info', { write() {} })
  const line = {
    event: 'decision',
    protocol: 'http',
    allowed: true,
    tokenId: 1,
    remoteAddress: '::1',
  }
  expect(bytesOf(() => log.info(line))).toBeLessThan(3_000)
})
