import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createCertificate } from './certificate.ts'
import { freePort } from './free-port.ts'
import { installPackage, isOnPath } from './require-program.ts'

/** Redis servers of our own: on free ports, in a temporary folder, gone when the tests are. */
export interface RedisServer {
  readonly port: number
  /** Stops the process where it stands, or lets it go on. */
  pause(): void
  resume(): void
  /** Ends it without warning. */
  kill(): Promise<void>
  /** Starts it again, with what it had saved. */
  start(): Promise<void>
}

export interface RedisGroup {
  /** For `POSTERN_REDIS_URL`. */
  readonly url: string
  /** PEM, where it speaks TLS. */
  readonly ca: string | undefined
  readonly servers: readonly RedisServer[]
  /** Speaks to one of them without any of our own code. */
  client(server?: RedisServer): Redis
  stop(): Promise<void>
}

const password = 'a-password'

export async function startRedis(): Promise<RedisGroup> {
  return group(async ({ serve }) => {
    const server = await serve(await freePort())
    return { url: `redis://:${password}@127.0.0.1:${server.port}/0`, servers: [server] }
  })
}

export async function startRedisWithTls(): Promise<RedisGroup> {
  return group(async ({ folder, serve }) => {
    const { cert, key } = createCertificate('localhost')
    const file = (name: string, content: string) => {
      writeFileSync(join(folder, name), content)
      return join(folder, name)
    }
    const port = await freePort()
    const certificate = file('tls.crt', cert)
    const settings = {
      'tls-port': String(port),
      'tls-cert-file': certificate,
      'tls-key-file': file('tls.key', key),
      'tls-ca-cert-file': certificate,
      'tls-auth-clients': 'no',
    }
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
    const server = await serve(0, args, { tlsPort: port, ca: cert })
    return { url: `rediss://:${password}@localhost:${port}`, servers: [server], ca: cert }
  })
}

/** A primary with a replica, and one Sentinel that watches them. */
export async function startRedisSentinel(): Promise<RedisGroup> {
  return group(async ({ folder, serve, run }) => {
    const primary = await serve(await freePort())
    const replica = await serve(await freePort(), ['--replicaof', `127.0.0.1 ${primary.port}`])
    const port = await freePort()
    mkdirSync(join(folder, 'sentinel'))
    writeFileSync(
      join(folder, 'sentinel', 'sentinel.conf'),
      [
        `port ${port}`,
        'bind 127.0.0.1',
        `sentinel monitor gates 127.0.0.1 ${primary.port} 1`,
        `sentinel auth-pass gates ${password}`,
        'sentinel down-after-milliseconds gates 500',
        'sentinel failover-timeout gates 2000',
        '',
      ].join('\n'),
    )
    run('redis-sentinel', ['sentinel.conf'], join(folder, 'sentinel'))
    await untilAnswers({ port })
    await until(async () => {
      const sentinel = new Redis({ port, lazyConnect: true })
      const replicas = await sentinel.call('sentinel', 'replicas', 'gates').catch(() => [])
      sentinel.disconnect()
      return Array.isArray(replicas) && replicas.length === 1
    })
    return {
      url: `redis-sentinel://:${password}@127.0.0.1:${port}/gates`,
      servers: [primary, replica],
    }
  })
}

/** Three primaries, each with a third of the slots and as many replicas as wanted; the primaries come first. */
export async function startRedisCluster({ replicas = 0 } = {}): Promise<RedisGroup> {
  return group(async ({ serve }) => {
    const ports: number[] = []
    for (let i = 0; i < 3 * (1 + replicas); i++) ports.push(await freePort())
    const servers = await Promise.all(
      ports.map((port) =>
        serve(port, [
          ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'],
          ...['--repl-diskless-sync-delay', '0'],
        ]),
      ),
    )
    const addresses = ports.map((port) => `127.0.0.1:${port}`)
    execFileSync(
      'redis-cli',
      [
        ...['--no-auth-warning', '-a', password, '--cluster', 'create', ...addresses],
        ...['--cluster-replicas', String(replicas), '--cluster-yes'],
      ],
      { stdio: 'ignore' },
    )
    const saysOf = (port: number, words: readonly [string, string], expected: string) =>
      until(async () => {
        const client = new Redis({ port, password, lazyConnect: true })
        const info = await client.call(...words).catch(() => '')
        client.disconnect()
        return String(info).includes(expected)
      })
    await saysOf(ports[0] ?? 0, ['cluster', 'info'], 'cluster_state:ok')
    // Only a replica that has what its primary has can take its place.
    for (const port of ports.slice(3)) {
      await saysOf(port, ['info', 'replication'], 'master_link_status:up')
    }
    return { url: `redis-cluster://:${password}@${addresses.join(',')}`, servers }
  })
}

interface Workshop {
  readonly folder: string
  serve(
    port: number,
    more?: readonly string[],
    tls?: { readonly tlsPort: number; readonly ca: string },
  ): Promise<RedisServer>
  run(
    program: 'redis-server' | 'redis-sentinel',
    args: readonly string[],
    cwd: string,
  ): ChildProcess
}

async function group(
  build: (workshop: Workshop) => Promise<{
    readonly url: string
    readonly servers: readonly RedisServer[]
    readonly ca?: string
  }>,
): Promise<RedisGroup> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-redis-'))
  const bin = findPrograms(folder)
  const processes = new Set<ChildProcess>()
  const clients = new Set<Redis>()

  function run(program: 'redis-server' | 'redis-sentinel', args: readonly string[], cwd: string) {
    const child = spawn(join(bin, program), args, { cwd, stdio: 'ignore' })
    processes.add(child)
    child.once('exit', () => processes.delete(child))
    return child
  }

  async function serve(
    port: number,
    more: readonly string[] = [],
    tls?: { readonly tlsPort: number; readonly ca: string },
  ): Promise<RedisServer> {
    const own = join(folder, String(tls?.tlsPort ?? port))
    mkdirSync(own)
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', own]
    const secrets = ['--requirepass', password, '--masterauth', password, '--save', '']
    let child: ChildProcess | undefined

    async function start() {
      child = run('redis-server', [...args, ...secrets, ...more], folder)
      await untilAnswers(
        tls === undefined
          ? { port, password }
          : { port: tls.tlsPort, host: 'localhost', password, tls: { ca: tls.ca } },
      )
    }
    await start()
    return {
      port: tls?.tlsPort ?? port,
      pause: () => child?.kill('SIGSTOP'),
      resume: () => child?.kill('SIGCONT'),
      async kill() {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
      },
      start,
    }
  }

  const { url, servers, ca } = await build({ folder, serve, run })
  return {
    url,
    ca,
    servers,
    client(server = servers[0]) {
      const tls = ca === undefined ? {} : { host: 'localhost', tls: { ca } }
      const client = new Redis({ port: server?.port ?? 0, password, ...tls })
      client.on('error', () => {})
      clients.add(client)
      return client
    },
    async stop() {
      for (const client of clients) client.disconnect()
      await Promise.all(
        [...processes].map(async (child) => {
          const ended = once(child, 'exit')
          child.kill('SIGKILL')
          await ended
        }),
      )
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const startLimitMs = 20_000

async function until(claim: () => Promise<boolean>) {
  const giveUpAt = performance.now() + startLimitMs
  while (!(await claim())) {
    if (performance.now() > giveUpAt) throw new Error('Redis did not get ready')
    await delay(25)
  }
}

function untilAnswers(where: {
  port: number
  host?: string
  password?: string
  tls?: { ca: string }
}) {
  return until(async () => {
    const client = new Redis({ ...where, lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => {})
    const answered = await client.ping().catch(() => undefined)
    client.disconnect()
    return answered === 'PONG'
  })
}

/**
 * The folder with redis-server and redis-sentinel. Debian's package of the server starts one of its own, but the package
 * of its tools has the same program under another name.
 */
function findPrograms(folder: string): string {
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  if (!isOnPath('redis-server') && !existsSync(debianProgram)) installPackage('redis-tools')
  const program = isOnPath('redis-server')
    ? execFileSync('sh', ['-c', 'command -v redis-server'], { encoding: 'utf8' }).trim()
    : debianProgram
  for (const name of ['redis-server', 'redis-sentinel']) symlinkSync(program, join(bin, name))
  return bin
}

const debianProgram = '/usr/bin/redis-check-rdb'
