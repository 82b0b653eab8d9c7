import { randomBytes } from 'node:crypto'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { createKeyRing } from '../../src/assertion/key-ring.ts'
import { createSeal, parseSealKey, WrongSealKey } from '../../src/assertion/seal.ts'
import { createAssertionSigner } from '../../src/assertion/signer.ts'
import type { Clock } from '../../src/clock.ts'
import type { AssertionRequest, AssertionSlot } from '../../src/service/ports/assertions.ts'
import { createMemorySecrets } from '../helpers/key-ring.ts'

const actor = { name: 'Test', origin: 'test' }
const day = 24 * 3_600_000

function movableClock(): Clock & { pass(ms: number): void } {
  let at = Date.UTC(2026, 10, 24, 12)
  return {
    now: () => at,
    monotonic: () => at,
    uptime: () => at,
    pass(ms) {
      at += ms
    },
  }
}

describe('the seal', () => {
  test('opens what it closed, and nothing else', async () => {
    const seal = createSeal(randomBytes(32))
    const closed = await seal.close('pst_secret')
    expect(closed).not.toContain('secret')
    expect(await seal.open(closed)).toBe('pst_secret')
    expect(await seal.close('pst_secret')).not.toBe(closed)
    await expect(createSeal(randomBytes(32)).open(closed)).rejects.toThrow(WrongSealKey)
    const changed = closed.slice(0, -2) + (closed.endsWith('AA') ? 'BB' : 'AA')
    await expect(seal.open(changed)).rejects.toThrow(WrongSealKey)
    await expect(seal.open('nonsense')).rejects.toThrow(WrongSealKey)
  })

  test('its key is 32 bytes in base64, with white space around it or not', () => {
    const key = randomBytes(32)
    expect(parseSealKey(` ${key.toString('base64')}\n`)).toEqual(key)
    for (const bad of [
      '',
      'short',
      randomBytes(31).toString('base64'),
      randomBytes(33).toString('base64'),
      'ä'.repeat(44),
    ]) {
      expect(parseSealKey(bad)).toBeUndefined()
    }
  })
})

describe('the signing keys', () => {
  function start() {
    const clock = movableClock()
    const secrets = createMemorySecrets()
    const seal = createSeal(randomBytes(32))
    const open = () => createKeyRing({ secrets, seal, clock })
    return { clock, secrets, seal, open, ring: open() }
  }

  test('are made on first use, kept sealed, and the same for every node', async () => {
    const { secrets, ring, open } = start()
    const { kid } = await ring.current()
    expect((await open().current()).kid).toBe(kid)
    expect(secrets.held).toHaveLength(1)
    expect(JSON.stringify(secrets.held)).not.toContain('"d"')
  })

  test('two nodes that start at once sign with one key', async () => {
    const { open } = start()
    const [a, b] = await Promise.all([open().current(), open().current()])
    expect(a?.kid).toBe(b?.kid)
  })

  test('publish no private part', async () => {
    const { ring } = start()
    const { keys } = await ring.jwks()
    expect(keys).toHaveLength(1)
    expect(keys[0]).toEqual({
      kty: 'OKP',
      crv: 'Ed25519',
      alg: 'EdDSA',
      use: 'sig',
      kid: expect.any(String),
      x: expect.any(String),
    })
  })

  test('when rotated, the new one signs at once, here and soon elsewhere; the old one is published for a day', async () => {
    const { clock, ring, open } = start()
    const elsewhere = open()
    const first = (await elsewhere.current()).kid
    const second = await ring.rotate(actor)
    expect((await ring.current()).kid).toBe(second)
    clock.pass(10_001)
    expect((await elsewhere.current()).kid).toBe(second)
    expect((await ring.jwks()).keys.map(({ kid }) => kid)).toEqual([second, first])
    clock.pass(day)
    expect((await ring.jwks()).keys.map(({ kid }) => kid)).toEqual([second])
  })

  test('stay good for signing while the store cannot be asked', async () => {
    const { clock, secrets, ring } = start()
    const { kid } = await ring.current()
    secrets.listSecrets = () => Promise.reject(new Error('down'))
    clock.pass(60_000)
    expect((await ring.current()).kid).toBe(kid)
  })

  test('under another seal key they are not opened, and no new one is made', async () => {
    const { secrets, clock, ring } = start()
    await ring.current()
    const stranger = createKeyRing({ secrets, seal: createSeal(randomBytes(32)), clock })
    await expect(stranger.current()).rejects.toThrow(WrongSealKey)
    expect(secrets.held).toHaveLength(1)
  })
})

describe('an assertion', () => {
  const principal = { tokenId: 7, accountId: 3, standing: 'active', endsAt: null } as const
  const request = {
    audience: 'http://api.test',
    principal,
    senders: ['ok.test'],
    protocol: 'http',
  } as const

  function start() {
    const clock = movableClock()
    const ring = createKeyRing({
      secrets: createMemorySecrets(),
      seal: createSeal(randomBytes(32)),
      clock,
    })
    const signer = createAssertionSigner({ keyRing: ring, clock, issuer: 'https://gate.test' })
    const slot: AssertionSlot = { assertion: undefined }
    const sign = (about: AssertionRequest) => signer.sign(slot, about)
    return { clock, ring, sign }
  }

  test('says who sends as what, to whom, for a minute', async () => {
    const { clock, ring, sign } = start()
    const jws = await sign(request)
    const verify = (audience: string) =>
      jwtVerify(jws, createLocalJWKSet({ keys: [] }), { audience }).catch((error) => error)
    expect(await verify('http://api.test')).toBeInstanceOf(Error)
    const keys = createLocalJWKSet(await ring.jwks())
    const currentDate = new Date(clock.now() + 59_000)
    const { payload } = await jwtVerify(jws, keys, { audience: 'http://api.test', currentDate })
    expect(payload).toEqual({
      iss: 'https://gate.test',
      aud: 'http://api.test',
      sub: '7',
      account_id: 3,
      senders: ['ok.test'],
      protocol: 'http',
      iat: clock.now() / 1000,
      exp: clock.now() / 1000 + 60,
    })
    const late = new Date(clock.now() + 60_000)
    await expect(jwtVerify(jws, keys, { currentDate: late })).rejects.toThrow('exp')
    await expect(
      jwtVerify(jws, keys, { audience: 'http://other.test', currentDate }),
    ).rejects.toThrow('aud')
  })

  test('is used again for half its life, for the same question only', async () => {
    const { clock, ring, sign } = start()
    const first = await sign(request)
    clock.pass(29_000)
    expect(await sign(request)).toBe(first)
    for (const other of [
      { ...request, audience: 'http://bulk.test' },
      { ...request, senders: ['ok.test', 'also.test'] },
      { ...request, protocol: 'smtp' as const },
      { ...request, principal: { ...principal, tokenId: 8 } },
    ]) {
      expect(await sign(other)).not.toBe(first)
    }
    clock.pass(1_001)
    expect(await sign(request)).not.toBe(first)
    const kid = await ring.rotate(actor)
    expect(decodeProtectedHeader(await sign(request)).kid).toBe(kid)
  })
})
