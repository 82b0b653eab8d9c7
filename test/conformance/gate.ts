import { randomBytes } from 'node:crypto'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCertificate } from '../helpers/certificate.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import type { Names } from './case-file.ts'
import { keepDialogues, readReply } from './dialogue.ts'
import { type RecordingApi, startRecordingApi } from './recording-api.ts'

/** A gate as in production, with an Email API and a relay behind it that remember every byte. */
export interface ConformanceGate {
  readonly http: string
  /** `host:port`. */
  readonly smtp: string
  /** SMTP connections whose greeting is on its way or there. */
  readonly sessions: ReturnType<typeof keepDialogues>
  readonly program: RunningProgram
  readonly api: RecordingApi
  readonly relay: ScriptedRelay
  /** Begins anew with what reached the upstreams. */
  forget(): void
}

export interface ConformanceGates {
  readonly usual: ConformanceGate
  /** Takes no AUTH before TLS. */
  readonly strict: ConformanceGate
  /** What the corpora call `$(token)` and so on. */
  readonly names: Names
  close(): Promise<void>
}

/** The domains that `$(token)` administers; it is a viewer of view.test. */
export const ownedDomains = ['ok.test', 'also.test', 'xn--bcher-kva.de']

export async function startConformanceGates(): Promise<ConformanceGates> {
  const usual = createWorkplace(common)
  const { cert, key } = createCertificate('gate.test')
  const files = {
    POSTERN_SEAL_KEY_FILE: randomBytes(32).toString('base64'),
    POSTERN_TLS_CERT: cert,
    POSTERN_TLS_KEY: key,
  }
  for (const [variable, content] of Object.entries(files)) {
    const path = join(usual.folder, `${variable}.pem`)
    writeFileSync(path, content)
    usual.environment[variable] = path
  }
  const names = await fill(usual)
  // One database serves one gate.
  const strict = createWorkplace({ ...usual.environment, POSTERN_ALLOW_INSECURE_AUTH: 'false' })
  cpSync(join(usual.folder, 'data'), join(strict.folder, 'data'), { recursive: true })
  const started = await Promise.all([start(usual), start(strict)])
  return {
    usual: started[0],
    strict: started[1],
    names,
    async close() {
      for (const { sessions } of started) sessions.close()
      await Promise.all([usual.remove(), strict.remove()])
      await Promise.all(started.flatMap(({ api, relay }) => [api.close(), relay.close()]))
    },
  }
}

const common = {
  POSTERN_ALLOW_INSECURE_AUTH: 'true',
  POSTERN_HOSTNAME: 'gate.test',
  POSTERN_HTTP_ROUTES: 'GET /api/templates/{id} authenticated',
  POSTERN_MAX_BODY_BYTES: '100000',
  POSTERN_MAX_MESSAGE_BYTES: '100000',
  // The corpora ask more in a second than one client should: those limits have tests of their own.
  POSTERN_TOKEN_RATE: 'off',
  POSTERN_AUTH_FAILURE_LIMIT: 'off',
  POSTERN_CONNECTION_LIMIT: 'off',
}

async function fill(place: Workplace): Promise<Names> {
  await place.json('account', 'create', 'Own')
  for (const domain of [...ownedDomains, 'view.test']) await place.json('domain', 'add', domain)
  await place.json('account', 'create', 'Foreign')
  const foreign = await place.json('domain', 'add', 'evil.test', '--account', '2')
  const grants = ownedDomains.flatMap((domain) => ['--domain', `${domain}:admin`])
  const own = await place.json(
    ...['token', 'create', '--account', '1', '--name', 'x', '--domain', 'view.test:viewer'],
    ...grants,
  )
  return { token: own.token, foreign: foreign.token.token }
}

/** Greeted after 100 ms; a case takes two, in a few milliseconds each. */
const keptSessions = 12

async function start(place: Workplace): Promise<ConformanceGate> {
  const [api, relay] = await Promise.all([startRecordingApi(), startScriptedRelay()])
  const program = await place.start('serve', {
    POSTERN_UPSTREAM_HTTP: api.url,
    POSTERN_UPSTREAM_SMTP: `smtp://127.0.0.1:${relay.port}`,
  })
  const { http, smtp } = program.ready
  return {
    http,
    smtp,
    sessions: keepDialogues(smtp, readReply, keptSessions),
    program,
    api,
    relay,
    forget() {
      api.requests.length = 0
      api.complaints.length = 0
      relay.messages.length = 0
      relay.commands.length = 0
    },
  }
}
