import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { createAssertionSigner } from '../../src/assertion/signer.ts'
import { createTestKeyRing } from '../helpers/key-ring.ts'

const wall = Date.UTC(2026, 0, 1)

function stage() {
  let ms = 0
  const clock = { now: () => wall + ms, monotonic: () => ms, uptime: () => ms }
  const keyRing = createTestKeyRing(clock)
  let signatures = 0
  /** Each signature says when it was made. */
  function now() {
    signatures += 1
    return clock.now()
  }
  return {
    keyRing,
    signer: createAssertionSigner({
      keyRing,
      clock: { ...clock, now },
      issuer: 'https://gate.test',
    }),
    signatures: () => signatures,
    pass(more: number) {
      ms += more
    },
  }
}

const request = {
  audience: 'https://api.test',
  principal: { tokenId: 7, accountId: 3, standing: 'active', endsAt: null },
  senders: ['example.com'],
  protocol: 'http',
} as const

test('an assertion is there at once, and signed anew after half of its life', async () => {
  const { signer, pass } = stage()
  const first = await signer.sign(request)
  expect(signer.sign(request)).toBe(first)
  expect(signer.sign({ ...request, protocol: 'smtp' })).toBeTypeOf('string')
  pass(9_000)
  expect(signer.sign(request)).toBe(first)
  pass(5_000)
  expect(await signer.sign(request)).toBe(first)
  pass(16_000)
  const second = await signer.sign(request)
  expect(second).not.toBe(first)
  expect(decodeJwt(second).iat).toBe(wall / 1000 + 30)
})

test('many requests of one token at once are one signature', async () => {
  const { signer, signatures } = stage()
  const signed = await Promise.all(Array.from({ length: 50 }, () => signer.sign(request)))
  expect(new Set(signed).size).toBe(1)
  expect(signatures()).toBe(1)
})

test.each([
  ['token', { principal: { ...request.principal, tokenId: 8 } }],
  ['account', { principal: { ...request.principal, accountId: 4 } }],
  ['upstream', { audience: 'https://other.test' }],
  ['protocol', { protocol: 'smtp' as const }],
  ['domain', { senders: ['example.net'] }],
  ['further domain', { senders: ['example.com', 'example.net'] }],
])('another %s is another assertion', async (_what, other) => {
  const { signer } = stage()
  expect(await signer.sign({ ...request, ...other })).not.toBe(await signer.sign(request))
})

test('a key that could not be had is asked for again', async () => {
  const { signer, keyRing } = stage()
  const { current } = keyRing
  keyRing.current = () => Promise.reject(new Error('the store is away'))
  await expect(signer.sign(request)).rejects.toThrow('the store is away')
  keyRing.current = current
  expect(await signer.sign(request)).toContain('.')
})

test('a rotated key signs at once', async () => {
  const { signer, keyRing } = stage()
  const first = await signer.sign(request)
  await keyRing.rotate({ name: 'somebody', origin: 'cli' })
  expect(await signer.sign(request)).not.toBe(first)
})
