import { BlockList, isIP } from 'node:net'
import { plainAddress } from './client-network.ts'

/** An address, or a network in CIDR notation. */
export interface Network {
  readonly address: string
  readonly prefixLength: number
}

/** Whose word counts for where a client is. */
export interface TrustedProxies {
  includes(remoteAddress: string): boolean
  /**
   * The client behind them: of the addresses in `X-Forwarded-For`, from the right, the first that no trusted proxy has.
   * What stands further left was written by the client itself.
   */
  clientAddress(remoteAddress: string, forwardedFor: string | undefined): string
}

export function createTrustedProxies(networks: readonly Network[]): TrustedProxies {
  const list = new BlockList()
  for (const { address, prefixLength } of networks) {
    list.addSubnet(address, prefixLength, familyOf(address))
  }
  const includes = (remoteAddress: string) => {
    const address = plainAddress(remoteAddress)
    return networks.length > 0 && isIP(address) !== 0 && list.check(address, familyOf(address))
  }
  return {
    includes,
    clientAddress(remoteAddress, forwardedFor) {
      let client = plainAddress(remoteAddress)
      if (forwardedFor === undefined || !includes(client)) return client
      const hops = forwardedFor.split(',')
      while (includes(client)) {
        const hop = addressOf(hops.pop() ?? '')
        if (hop === undefined) break
        client = hop
      }
      return client
    },
  }
}

/** Some proxies write a port too, and IPv6 in brackets. */
function addressOf(hop: string): string | undefined {
  const text = hop.trim().replace(/^\[([^\]]+)\](?::\d+)?$/, '$1')
  const address = isIP(text) === 0 ? text.replace(/:\d+$/, '') : text
  return isIP(address) === 0 ? undefined : plainAddress(address)
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
