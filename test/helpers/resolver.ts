import { type ChildProcess, spawn } from 'node:child_process'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { requireProgram } from './require-program.ts'

/** A real resolver of our own (dnsmasq) on loopback, which knows what it is told and that there is nothing else. */
export interface TestResolver {
  /** For `POSTERN_DNS_RESOLVERS`. */
  readonly address: string
  /** Puts these records in the place of those before; resolves when they are answered. */
  publish(records: Zone): Promise<void>
  /** Ends it: from then on nobody answers there. */
  stop(): Promise<void>
}

export interface Zone {
  /** Each record is a list of strings (RFC 1035 §3.3.14). */
  readonly txt?: readonly (readonly [name: string, ...strings: string[]])[]
  readonly cname?: readonly (readonly [alias: string, target: string])[]
  /** Names with an address, and no other records. */
  readonly hosts?: readonly string[]
}

const startLimitMs = 10_000
/** Says which of the zones is being answered. */
const mark = 'zone.postern-mark.test'

export async function startResolver(zone: Zone = {}): Promise<TestResolver> {
  requireProgram('dnsmasq')
  const port = await freePort()
  const address = `127.0.0.1:${port}`
  let child: ChildProcess | undefined
  let zones = 0

  async function stop() {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async function publish({ txt = [], cname = [], hosts = [] }: Zone) {
    await stop()
    zones += 1
    const running = spawn(
      'dnsmasq',
      [
        ...['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='],
        ...[`--port=${port}`, '--listen-address=127.0.0.1', '--bind-interfaces'],
        // As root it would give up its rights to a user that may not be there.
        ...(process.getuid?.() === 0 ? ['--user=root'] : []),
        '--local=/test/example/',
        `--txt-record=${mark},${zones}`,
        ...txt.map(([name, ...strings]) => `--txt-record=${[name, ...strings].join(',')}`),
        ...cname.map(([alias, target]) => `--cname=${alias},${target}`),
        ...hosts.map((name) => `--host-record=${name},127.0.0.2`),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    child = running
    let complaint = ''
    running.stderr.on('data', (chunk) => (complaint += chunk))
    const giveUpAt = performance.now() + startLimitMs
    while ((await markAt(address)) !== String(zones)) {
      if (running.exitCode !== null || performance.now() > giveUpAt) {
        await stop()
        throw new Error(`dnsmasq did not get ready: ${complaint}`)
      }
      await delay(10)
    }
  }

  await publish(zone)
  return { address, publish, stop }
}

async function markAt(address: string): Promise<string | undefined> {
  const resolver = new Resolver({ timeout: 200, tries: 1 })
  resolver.setServers([address])
  const records = await resolver.resolveTxt(mark).catch(() => [])
  return records[0]?.join('')
}
