import { describe, expect, test } from 'vitest'
import { createTrustedProxies } from '../../src/limits/trusted-proxies.ts'
import { connectionLimit, network, rate } from '../../src/setting-parsers.ts'

const proxies = createTrustedProxies(['10.0.0.0/8', '192.0.2.1', '2001:db8::/32'].map(network))

test.each([
  ['no proxy', '198.51.100.9', '203.0.113.1', '198.51.100.9'],
  ['a proxy that says nothing', '10.0.0.1', undefined, '10.0.0.1'],
  ['one proxy', '10.0.0.1', '203.0.113.1', '203.0.113.1'],
  ['one proxy on a dual-stack socket', '::ffff:10.0.0.1', '203.0.113.1', '203.0.113.1'],
  ['a client that wrote the field itself', '10.0.0.1', '1.2.3.4, 203.0.113.1', '203.0.113.1'],
  ['two proxies', '10.0.0.1', '203.0.113.1, 192.0.2.1', '203.0.113.1'],
  ['proxies all the way', '10.0.0.1', '10.0.0.3,10.0.0.2', '10.0.0.3'],
  ['a port', '10.0.0.1', '203.0.113.1:4711', '203.0.113.1'],
  ['IPv6 with a port', '2001:db8::5', '[2a00::1]:4711', '2a00::1'],
  ['plain IPv6', '10.0.0.1', '2a00::1', '2a00::1'],
  ['nonsense behind the proxy', '10.0.0.1', 'unknown', '10.0.0.1'],
  ['nonsense behind a good hop', '10.0.0.1', 'x, 192.0.2.1', '192.0.2.1'],
  ['an empty field', '10.0.0.1', '', '10.0.0.1'],
])('the client behind %s is found', (_name, socket, forwardedFor, client) => {
  expect(proxies.clientAddress(socket, forwardedFor)).toBe(client)
})

test('without trusted proxies nobody is believed', () => {
  const none = createTrustedProxies([])
  expect(none.includes('127.0.0.1')).toBe(false)
  expect(none.clientAddress('127.0.0.1', '203.0.113.1')).toBe('127.0.0.1')
})

describe('settings', () => {
  test.each(['10.0.0.0/33', '10.0.0', 'proxy.internal', '::/129', '10.0.0.0/', ''])(
    'the network "%s" is refused',
    (text) => {
      expect(() => network(text)).toThrow(/must be an IP address or a network/)
    },
  )
  test.each(['150', '0/10s', '150/10', '150/0', '150/10ms', '1/2d', '-1/10s', '99999999/10s'])(
    'the rate "%s" is refused',
    (text) => {
      expect(() => rate(text)).toThrow(/must be NUMBER\/TIME such as 150\/10s/)
    },
  )
  test('a rate is so many in so long, or none', () => {
    expect(rate('150/10s')).toEqual({ limit: 150, windowMs: 10_000 })
    expect(rate('off')).toBeNull()
  })
  test.each([
    '100',
    'address:0',
    'address:1,address:2',
    'address:x',
    'host:1',
    'address:1;account:2',
  ])('the connection limit "%s" is refused', (text) => {
    expect(() => connectionLimit(text)).toThrow(/must be address:NUMBER,account:NUMBER/)
  })
  test('a connection limit may be on addresses, on accounts, on both or off', () => {
    expect(connectionLimit('address:2,account:3')).toEqual({ address: 2, account: 3 })
    expect(connectionLimit('account:3')).toEqual({ address: null, account: 3 })
    expect(connectionLimit('off')).toEqual({ address: null, account: null })
  })
})
