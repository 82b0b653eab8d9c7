import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { freePort } from './free-port.ts'
import { installPackage } from './require-program.ts'

/** A PostgreSQL server of our own: on a free port, in a temporary folder, gone when the tests are. */
export interface Postgres {
  readonly port: number
  /** A new empty database; answers its URL. */
  createDatabase(): Promise<string>
  /** Stops the server's processes where they stand, or lets them go on. */
  pause(): void
  resume(): void
  /** Ends it without warning, as a crash would. */
  kill(): Promise<void>
  /** Puts a file into its data directory, for nobody but the server. */
  writeFile(name: string, content: string): void
  start(): Promise<void>
  stop(): Promise<void>
}

const startLimitMs = 30_000

/** With `standbyOf` it is a copy of another server, which follows it under this name. */
export async function startPostgres({
  standbyOf,
  maxConnections = 60,
}: {
  readonly standbyOf?: { readonly primary: Postgres; readonly name: string }
  readonly maxConnections?: number
} = {}): Promise<Postgres> {
  const bin = findServer()
  const user = serverUser()
  const folder = mkdtempSync(join(tmpdir(), 'postern-postgres-'))
  if ('uid' in user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const make = (program: string, args: readonly string[]) =>
    execFileSync(join(bin, program), args, { stdio: 'ignore', cwd: folder, ...user })
  if (standbyOf === undefined) {
    const superuser = ['--username', 'postgres', '--auth', 'trust']
    make('initdb', ['--pgdata', data, ...superuser, '--encoding', 'UTF8', '--no-sync'])
  } else {
    const { primary, name } = standbyOf
    const source = `host=127.0.0.1 port=${primary.port} user=postgres application_name=${name}`
    const copy = ['--pgdata', data, '--dbname', source, '--checkpoint', 'fast']
    make('pg_basebackup', [...copy, '--write-recovery-conf', '--no-sync'])
  }
  let port = await freePort()
  let server: ChildProcess | undefined
  let databases = 0

  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`

  async function start() {
    server = spawn(
      join(bin, 'postgres'),
      [
        '-D',
        data,
        '-p',
        String(port),
        '-h',
        '127.0.0.1',
        '-k',
        folder,
        '-F',
        '-c',
        `max_connections=${maxConnections}`,
      ],
      { stdio: 'ignore', cwd: folder, ...user },
    )
    const giveUpAt = performance.now() + startLimitMs
    while (!(await answers(url('postgres')))) {
      const isOver = server.exitCode !== null || performance.now() > giveUpAt
      if (isOver) throw new Error('PostgreSQL did not start')
      await delay(50)
    }
  }

  async function end(signal: NodeJS.Signals) {
    if (server === undefined || server.exitCode !== null) return
    const ended = once(server, 'exit')
    server.kill(signal)
    await ended
    server = undefined
  }

  /** The server and every process that it made. It stands still first and longest: meanwhile it makes none, and none is gone. */
  function pause() {
    const pid = server?.pid
    if (pid === undefined) return
    process.kill(pid, 'SIGSTOP')
    while (!/^State:\t[TZ]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) {}
    for (const child of childrenOf(pid)) process.kill(child, 'SIGSTOP')
  }

  function resume() {
    const pid = server?.pid
    if (pid === undefined) return
    for (const child of childrenOf(pid)) process.kill(child, 'SIGCONT')
    process.kill(pid, 'SIGCONT')
  }

  await start().catch(async () => {
    // Somebody else may have taken the port meanwhile.
    port = await freePort()
    await start()
  })
  return {
    port,
    async createDatabase() {
      databases += 1
      const name = `test_${databases}`
      const client = new pg.Client({ connectionString: url('postgres') })
      await client.connect()
      await client.query(`create database ${name}`)
      await client.end()
      return url(name)
    },
    pause,
    resume,
    kill: async () => {
      // SIGQUIT: the server ends all its processes at once and recovers at the next start.
      await end('SIGQUIT')
    },
    writeFile(name, content) {
      const file = join(data, name)
      writeFileSync(file, content, { mode: 0o600 })
      if ('uid' in user) chownSync(file, user.uid, user.gid)
    },
    start,
    async stop() {
      await end('SIGQUIT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 })
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

/** The folder with initdb and postgres. Debian keeps them off the PATH. */
function findServer(): string {
  const found = searchServer()
  if (found !== undefined) return found
  if (process.getuid?.() === 0 && existsSync('/etc/debian_version')) {
    // Else the package makes and starts a server of its own.
    mkdirSync('/etc/postgresql-common', { recursive: true })
    writeFileSync('/etc/postgresql-common/createcluster.conf', 'create_main_cluster = false\n')
  }
  installPackage('postgresql')
  const installed = searchServer()
  if (installed === undefined) throw new Error('PostgreSQL was installed, but has no initdb')
  return installed
}

function searchServer(): string | undefined {
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'pg_ctl'))
    .filter(existsSync)
    .map((file) => dirname(realpathSync(file)))
  const folders = [...onPath, ...globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed()]
  return folders.find(
    (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  )
}

/** PostgreSQL refuses to run as root. */
function serverUser(): { uid: number; gid: number } | Record<string, never> {
  if (process.getuid?.() !== 0) return {}
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const user =
    users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (user === undefined) throw new Error('there is no unprivileged user to run PostgreSQL as')
  return { uid: Number(user[2]), gid: Number(user[3]) }
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.split(' ').filter(Boolean).map(Number)
}
