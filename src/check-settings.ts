import { once } from 'node:events'
import { connect } from 'node:net'
import type { Config } from './config.ts'
import { createLog } from './log.ts'
import { openRedis } from './redis.ts'
import { fileProblems, readRedisCa } from './setting-files.ts'
import type { RedisTarget } from './setting-parsers.ts'
import { createTxtLookup } from './txt-lookup.ts'

export interface SettingsCheck {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

const connectTimeoutMs = 5_000

/** For `postern doctor`: can the files that settings name be used, and the servers be reached? */
export async function checkSettings(config: Config): Promise<readonly SettingsCheck[]> {
  const problems = fileProblems(config)
  const files = { name: 'files', ok: problems.length === 0, detail: problems.join('; ') || 'ok' }
  return [
    files,
    ...(await Promise.all(upstreamsOf(config).map(reach))),
    ...(await Promise.all((config.dnsResolvers ?? []).map(checkResolver))),
    ...(config.redisUrl === undefined ? [] : [await checkRedis(config.redisUrl, config.redisCa)]),
  ]
}

/** RFC 6761 §6.4: that there is no such name is an answer as good as any. */
const absentName = '_postern-challenge.invalid'

async function checkResolver(resolver: string): Promise<SettingsCheck> {
  const answer = await createTxtLookup([resolver])(absentName)
  return {
    name: 'DNS resolver',
    ok: answer.known,
    detail: answer.known ? `${resolver} answers` : `cannot be used: ${answer.reason}`,
  }
}

async function checkRedis(target: RedisTarget, caFile: string | undefined): Promise<SettingsCheck> {
  let close = () => {}
  try {
    const redis = await openRedis(target, { ca: readRedisCa(caFile), log: createLog('silent') })
    close = redis.close
    const { client } = redis
    if (client.status !== 'ready') {
      await once(client, 'ready', { signal: AbortSignal.timeout(connectTimeoutMs) })
    }
    await client.ping()
    return { name: 'Redis', ok: true, detail: 'answers' }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { name: 'Redis', ok: false, detail: `cannot be used: ${reason}` }
  } finally {
    close()
  }
}

interface Target {
  readonly name: string
  readonly host: string
  readonly port: number
}

function upstreamsOf(config: Config): Target[] {
  const http = {
    'Email API': config.upstreamHttp,
    'Email API, bulk': config.upstreamHttpBulk,
    'Email API, sandbox': config.upstreamHttpSandbox,
  }
  const smtp = { relay: config.upstreamSmtp, 'relay, bulk': config.upstreamSmtpBulk }
  return [
    ...Object.entries(http).flatMap(([name, upstream]) => {
      if (upstream === undefined) return []
      const { hostname, port, protocol } = new URL(upstream.origin)
      const host = hostname.replace(/^\[|\]$/g, '')
      return [{ name, host, port: Number(port) || (protocol === 'https:' ? 443 : 80) }]
    }),
    ...Object.entries(smtp).flatMap(([name, upstream]) =>
      upstream === undefined ? [] : [{ name, host: upstream.host, port: upstream.port }],
    ),
  ]
}

/** Connects, and says nothing: an upstream must not take a check for a client. */
async function reach({ name, host, port }: Target): Promise<SettingsCheck> {
  const socket = connect({ host, port })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(connectTimeoutMs) })
    return { name, ok: true, detail: `${host}:${port} accepts connections` }
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    return { name, ok: false, detail: `${host}:${port} cannot be reached: ${reason}` }
  } finally {
    socket.destroy()
  }
}
