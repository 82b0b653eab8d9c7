import { expect, test } from 'vitest'
import { networkOf } from '../../src/limits/client-network.ts'

test.each([
  ['192.0.2.7', '192.0.2.7', '192.0.2.0/24'],
  ['::ffff:192.0.2.7', '192.0.2.7', '192.0.2.0/24'],
  ['0:0:0:0:0:ffff:192.0.2.7', '192.0.2.7', '192.0.2.0/24'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:db8:1:2::6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64', '2001:db8:1::/48'],
  ['2001:db8::1', '2001:db8:0:0::/64', '2001:db8:0::/48'],
  ['::1', '0:0:0:0::/64', '0:0:0::/48'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64', 'fe80:0:0::/48'],
  ['', '', ''],
])('%s is the client %s of %s', (address, client, prefix) => {
  expect(networkOf(address)).toEqual({ client, prefix })
})

test('addresses of one IPv6 /64 are one client, those of the next are another', () => {
  const clientOf = (address: string) => networkOf(address).client
  expect(clientOf('2001:db8::1')).toBe(clientOf('2001:db8::ffff:1'))
  expect(clientOf('2001:db8::1')).not.toBe(clientOf('2001:db8:0:1::1'))
})
