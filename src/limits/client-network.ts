import { isIPv4, isIPv6 } from 'node:net'

/** What an attacker has many of: addresses of one IPv6 /64 are one client, and its wider network may hold many. */
export interface ClientNetwork {
  /** An IPv4 address, or the /64 of an IPv6 one. */
  readonly client: string
  /** The /24 of an IPv4 address, or the /48 of an IPv6 one. */
  readonly prefix: string
}

const mappedIpv4 = /^(?:0{0,4}:){2,5}ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** `remoteAddress` as a socket has it. What is no address is a client of its own: budgets never fail. */
export function networkOf(remoteAddress: string): ClientNetwork {
  const address = plainAddress(remoteAddress)
  if (isIPv4(address)) {
    return { client: address, prefix: `${address.slice(0, address.lastIndexOf('.'))}.0/24` }
  }
  if (!isIPv6(address)) return { client: address, prefix: address }
  const groups = ipv6Groups(address)
  return {
    client: `${groups.slice(0, 4).join(':')}::/64`,
    prefix: `${groups.slice(0, 3).join(':')}::/48`,
  }
}

/** Without zone, and IPv4 as such also where a dual-stack socket shows it as IPv6 (RFC 4291 §2.5.5.2). */
export function plainAddress(remoteAddress: string): string {
  // IPv4 is plain as it is.
  if (!remoteAddress.includes(':')) return remoteAddress
  const address = remoteAddress.replace(/%.*$/, '')
  return mappedIpv4.exec(address)?.[1] ?? address
}

/** RFC 4291 §2.2: `::` stands for as many groups of zeros as are missing. */
function ipv6Groups(address: string): string[] {
  const [head = '', tail] = address.split('::')
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':'))
  const [before, after] = [groupsOf(head), groupsOf(tail ?? '')]
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length
  return [...before, ...Array<string>(Math.max(0, zeros)).fill('0'), ...after].map((group) =>
    Number.parseInt(group, 16).toString(16),
  )
}
