import { createHttpUpstream, type HttpUpstream } from './forward.ts'
import { hostName } from './host.ts'

export type Stream = 'transactional' | 'bulk' | 'sandbox'

interface UpstreamTarget {
  readonly origin: string
  readonly basePath: string
}

export interface UpstreamsOptions {
  /** The Email API of each stream; only the transactional one has to be there. */
  readonly upstreams: { readonly transactional: UpstreamTarget } & {
    readonly [S in Exclude<Stream, 'transactional'>]?: UpstreamTarget | undefined
  }
  /** Which Host, without port and in lower case, is which stream; every other one is transactional. */
  readonly hosts: ReadonlyMap<string, Stream>
  readonly upstreamTimeoutMs: number
  readonly upstreamCa?: string | undefined
}

/** The Email APIs behind the gate. A stream without one of its own goes to the transactional one. */
export function createUpstreams({
  upstreams: { transactional, bulk, sandbox },
  hosts,
  upstreamTimeoutMs: timeoutMs,
  upstreamCa: ca,
}: UpstreamsOptions) {
  const connect = (target: UpstreamTarget) => createHttpUpstream({ ...target, timeoutMs, ca })
  const main = connect(transactional)
  const byStream: Record<Stream, HttpUpstream> = {
    transactional: main,
    bulk: bulk === undefined ? main : connect(bulk),
    sandbox: sandbox === undefined ? main : connect(sandbox),
  }

  return {
    /** By the Host field of a request. */
    of(host = ''): HttpUpstream {
      if (hosts.size === 0) return main
      // Mail for the sandbox must not go out for real because its host is written in another way.
      return byStream[hosts.get(hostName(host)) ?? 'transactional']
    },

    /** Lets their connections finish. */
    async close() {
      await Promise.all([...new Set(Object.values(byStream))].map((upstream) => upstream.close()))
    },
  }
}
