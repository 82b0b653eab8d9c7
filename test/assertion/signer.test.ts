import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import { createAssertionSigner } from '../../src/assertion/signer.ts'
import type { AssertionRequest, AssertionSlot } from '../../src/service/ports/assertions.ts'
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

describe.each([
  ['kept with its token', (last: AssertionSlot) => last],
  ['kept by what it is about', (): AssertionSlot => ({ assertion: undefined })],
])('an assertion %s', (_where, slotAfter) => {
  function stageFor() {
    const { signer, ...rest } = stage()
    let slot: AssertionSlot = { assertion: undefined }
    function sign(about: AssertionRequest) {
      slot = slotAfter(slot)
      return signer.sign(slot, about)
    }
    return { sign, ...rest }
  }

  test('is there at once, and signed anew after half of its life', async () => {
    const { sign, pass } = stageFor()
    const first = await sign(request)
    expect(sign(request)).toBe(first)
    expect(sign({ ...request, protocol: 'smtp' })).toBeTypeOf('string')
    pass(9_000)
    expect(sign(request)).toBe(first)
    pass(5_000)
    expect(await sign(request)).toBe(first)
    pass(16_000)
    const second = await sign(request)
    expect(second).not.toBe(first)
    expect(decodeJwt(second).iat).toBe(wall / 1000 + 30)
  })

  test('is one signature for many requests at once', async () => {
    const { sign, signatures } = stageFor()
    const signed = await Promise.all(Array.from({ length: 50 }, () => sign(request)))
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
  ])('is another one for another %s', async (_what, other) => {
    const { sign, signatures } = stageFor()
    const first = await sign(request)
    const second = await sign({ ...request, ...other })
    expect(second).not.toBe(first)
    // Asked for in turn, neither is signed again.
    expect([await sign(request), await sign({ ...request, ...other })]).toEqual([first, second])
    expect(signatures()).toBe(2)
  })

  test('is signed once the key can be had again', async () => {
    const { sign, keyRing } = stageFor()
    const { current } = keyRing
    keyRing.current = () => Promise.reject(new Error('the store is away'))
    await expect(sign(request)).rejects.toThrow('the store is away')
    keyRing.current = current
    expect(await sign(request)).toContain('.')
  })

  test('is signed anew, at once, when the key is rotated', async () => {
    const { sign, keyRing } = stageFor()
    const first = await sign(request)
    await keyRing.rotate({ name: 'somebody', origin: 'cli' })
    expect(await sign(request)).not.toBe(first)
  })
})

test('an assertion about very many domains is signed each time, and none of it is kept', async () => {
  const { signer, signatures } = stage()
  const slot: AssertionSlot = { assertion: undefined }
  const senders = Array.from({ length: 200 }, (_, i) => `domain-${i}.example.com`)
  await signer.sign(slot, { ...request, senders })
  await signer.sign(slot, { ...request, senders })
  expect(signatures()).toBe(2)
  expect(slot.assertion).toBeUndefined()
})
