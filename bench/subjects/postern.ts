import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readVersion } from '../../src/version.ts'
import type { WorstPauses } from '../measure/pauses.ts'
import { createCaller } from '../processes/agent.ts'
import type { Crew } from '../processes/crew.ts'
import { fillStore } from './fixture.ts'
import type { RunningSubject, Subject } from './subject.ts'

const program = resolve('src/postern.js')

export interface RunningGate {
  readonly pid: number
  readonly ports: { readonly http: number; readonly smtp: number; readonly admin: number }
  /** Of one that is probed. */
  readonly takeWorstPauses?: () => Promise<WorstPauses>
  /** Current value of a counter of `/metrics`, all its labels that match added up. */
  metric(name: string, labels?: string): Promise<number>
  stop(): Promise<void>
}

export interface GateStart {
  readonly crew: Crew
  readonly name: string
  readonly databaseUrl: string
  readonly httpUpstream: number
  readonly smtpUpstream: number
  /** Undefined: left to its default. */
  readonly settings?: Record<string, string | undefined>
  /** Loads the probe, which costs a little. */
  readonly isProbed?: boolean
}

/** `postern serve` as an operator starts it, everything on and its log going to a file, but for limits and the greeting's delay. */
export async function startGate(start: GateStart): Promise<RunningGate> {
  const { crew, name, databaseUrl, httpUpstream, smtpUpstream, isProbed = false } = start
  const folder = crew.folder(name)
  const readyFile = join(folder, `ready-${performance.now()}.json`)
  const probe = pathToFileURL(resolve('bench/subjects/probe.ts')).href
  const started = crew.program({
    command: process.execPath,
    args: [...(isProbed ? ['--import', probe] : []), program, 'serve'],
    folder,
    hasChannel: isProbed,
    env: {
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      POSTERN_SMTP_LISTEN: '127.0.0.1:0',
      POSTERN_ADMIN_LISTEN: '127.0.0.1:0',
      POSTERN_UPSTREAM_HTTP: `http://127.0.0.1:${httpUpstream}`,
      POSTERN_UPSTREAM_SMTP: `smtp://127.0.0.1:${smtpUpstream}`,
      POSTERN_DATABASE_URL: databaseUrl,
      POSTERN_ALLOW_INSECURE_AUTH: 'true',
      POSTERN_SHUTDOWN_TIMEOUT_MS: '500',
      POSTERN_SMTP_GREETING_DELAY_MS: '0',
      // They are counted, and one loader is as many clients as it likes.
      POSTERN_TOKEN_RATE: '1000000/10s',
      POSTERN_CONNECTION_LIMIT: 'address:100000,account:100000',
      POSTERN_AUTH_FAILURE_LIMIT: '1000000/10s',
      POSTERN_READY_FILE: readyFile,
      ...start.settings,
    },
  })
  const ready = await started.until(() => readJson(readyFile))
  const call = isProbed ? createCaller(started.process, name) : undefined
  return {
    pid: started.pid,
    ports: { http: portOf(ready.http), smtp: portOf(ready.smtp), admin: portOf(ready.admin) },
    ...(call && {
      takeWorstPauses: async () => (await call('takeWorstPauses', undefined)) as WorstPauses,
    }),
    async metric(wanted, labels = '') {
      const page = await (await fetch(`${ready.admin}/metrics`)).text()
      return page
        .split('\n')
        .filter((line) => line.startsWith(`${wanted}{`) || line.startsWith(`${wanted} `))
        .filter((line) => line.includes(labels))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
    },
    stop: () => started.stop(),
  }
}

function portOf(address: string): number {
  return Number(/:(\d+)$/.exec(address)?.[1])
}

function readJson(file: string) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<'http' | 'smtp' | 'admin', string>
  } catch {
    return undefined
  }
}

interface PosternVariant {
  readonly name: string
  readonly about: string
  readonly edge: 'http' | 'smtp'
  readonly settings?: Record<string, string | undefined>
  readonly isProbed?: boolean
}

function createPosternSubject({
  name,
  about,
  edge,
  settings = {},
  isProbed,
}: PosternVariant): Subject {
  return {
    name,
    kind: 'postern',
    about,
    checks: { token: true, sender: true },
    version: readVersion,
    async start({ crew, fixture, httpUpstream, smtpUpstream }): Promise<RunningSubject> {
      const databaseUrl = `sqlite:${join(crew.folder(name), 'gate.db')}`
      await fillStore(databaseUrl, fixture)
      const gate = await startGate({
        ...{ crew, name, databaseUrl, httpUpstream, smtpUpstream, settings },
        ...(isProbed && { isProbed }),
      })
      return {
        port: gate.ports[edge],
        pids: [gate.pid],
        ...(gate.takeWorstPauses && { takeWorstPauses: gate.takeWorstPauses }),
      }
    },
  }
}

const everything = 'token and sender checked, lease, assertion, metrics'

export const posternHttp = createPosternSubject({
  name: 'Postern',
  about: `postern serve on SQLite, as it comes but for limits that one loader would meet: ${everything}, and a log line for each decision into a file`,
  edge: 'http',
})

export const posternHttpQuiet = createPosternSubject({
  name: 'Postern, log off',
  about: `the same with POSTERN_LOG_LEVEL=warn: ${everything}; like the others it writes no line a request`,
  edge: 'http',
  settings: { POSTERN_LOG_LEVEL: 'warn' },
})

export const posternHttpLimited = createPosternSubject({
  name: 'Postern',
  about: `postern serve on SQLite, as it comes: ${everything}, failed authentications limited, log into a file`,
  edge: 'http',
  settings: { POSTERN_AUTH_FAILURE_LIMIT: undefined },
})

export const posternHttpUnlimited = createPosternSubject({
  name: 'Postern, limits off',
  about:
    'the same, but a client may fail as often as it likes: as if the flood came from everywhere',
  edge: 'http',
})

export const posternHttpProbed = createPosternSubject({
  name: 'Postern',
  about: `postern serve on SQLite, as it comes: ${everything}, log into a file; watched for pauses of its event loop`,
  edge: 'http',
  isProbed: true,
})

export const posternSmtp = createPosternSubject({
  name: 'Postern',
  about: `postern serve on SQLite, as it comes but for limits that one loader would meet, and greeting at once: ${everything}, log into a file; relays over pooled connections`,
  edge: 'smtp',
})

export const posternSmtpProbed = createPosternSubject({
  name: 'Postern over SMTP',
  about: `the same over SMTP, greeting at once; watched for pauses of its event loop`,
  edge: 'smtp',
  isProbed: true,
})

export const posternSmtpQuiet = createPosternSubject({
  name: 'Postern, log off',
  about: `the same with POSTERN_LOG_LEVEL=warn: ${everything}`,
  edge: 'smtp',
  settings: { POSTERN_LOG_LEVEL: 'warn' },
})
