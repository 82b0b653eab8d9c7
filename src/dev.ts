import type { Config } from './config.ts'
import type { System } from './control-plane.ts'
import { type Addresses, type Gateway, startGateway } from './gateway.ts'
import type { Log } from './log.ts'
import type { Actor } from './service/ports/registry.ts'
import { httpUpstream, type ListenAddress, smtpUpstream } from './setting-parsers.ts'
import { startSink } from './sink/sink.ts'

const firstAccount = 'Development'
const firstDomain = 'example.com'
const anyPort: ListenAddress = { host: '127.0.0.1', port: 0 }
const actor: Actor = { name: 'System', origin: 'dev' }

/** `postern dev`: the whole gate on one machine, with a sink behind it, and a token to try it with. */
export async function startDev(config: Config, system: System & { readonly log: Log }) {
  const sink = await startSink({
    httpListen: config.sinkHttpListen ?? anyPort,
    smtpListen: config.sinkSmtpListen ?? anyPort,
    ...system,
  })
  try {
    const gateway = await startGateway(
      config,
      {
        http: config.upstreamHttp ?? httpUpstream(sink.http),
        smtp: config.upstreamSmtp ?? smtpUpstream(`smtp://${sink.smtp}`),
      },
      system,
    )
    const trial = await readyToTry(gateway)
    const { http, smtp, admin } = shownAddresses(config, gateway.addresses)
    return {
      ready: {
        ...gateway.addresses,
        pid: process.pid,
        sink: { http: sink.http, smtp: sink.smtp, page: sink.page },
        token: trial.token,
        domain: trial.domain,
      },
      banner: banner({ http, smtp, admin, page: sink.page, ...trial }),
      async close() {
        await gateway.close()
        await sink.close()
      },
    }
  } catch (error) {
    await sink.close()
    throw error
  }
}

/** Where people reach the gate may be another address than where it listens. */
function shownAddresses(config: Config, { http, smtp, admin }: Addresses) {
  return {
    http: config.publicHttpUrl ?? http,
    smtp: config.publicSmtpUrl?.replace(/^smtp:\/\//, '') ?? smtp,
    admin: config.publicAdminUrl ?? admin,
  }
}

interface Trial {
  readonly domain: string | null
  /** Null when no copy of it was kept, or it was deleted. */
  readonly token: string | null
}

/** Makes an account and a domain on first start; afterwards finds a token that still works. */
async function readyToTry({ controlPlane }: Gateway): Promise<Trial> {
  const { store, issue, reveal } = controlPlane
  const accounts = await store.listAccounts()
  if (accounts.length === 0) {
    const account = await issue.createAccount(firstAccount, actor)
    if (!account.done) return { domain: null, token: null }
    const request = { accountId: account.value.id, name: firstDomain, state: 'verified' } as const
    const added = await issue.addDomain(request, actor)
    if (!added.done) return { domain: null, token: null }
    return { domain: added.value.domain.name, token: added.value.token.bearerToken }
  }
  const [domain] = await store.listDomains()
  if (domain === undefined) return { domain: null, token: null }
  const tokens = await store.listTokens(domain.accountId)
  const usable = tokens.find(
    ({ grants, expiresAt, windowEndsAt }) =>
      expiresAt === null &&
      windowEndsAt === null &&
      grants.some(({ resource, level }) => level === 'admin' && resource.id === domain.id),
  )
  const copy = usable === undefined ? undefined : await reveal(usable.id, actor)
  return { domain: domain.name, token: copy?.done === true ? copy.value : null }
}

function banner({
  http,
  smtp,
  admin,
  page,
  domain,
  token,
}: Trial & { http: string | null; smtp: string | null; admin: string; page: string }): string {
  const lines = [
    '',
    '  Postern is listening.',
    '',
    `  HTTP gateway   ${http ?? 'off'}`,
    `  SMTP gateway   ${smtp ?? 'off'}`,
    `  Control plane  ${admin}`,
    `  Sink           ${page}   what came through`,
    '',
  ]
  if (domain === null || token === null) {
    return [...lines, '  Make a token with: npm run -s postern -- token create --help', ''].join(
      '\n',
    )
  }
  lines.push(`  Token          ${token}`, `  May send as    anything@${domain}`, '')
  if (http !== null) {
    lines.push('  Send over HTTP:', '', curlHttp(http, token, domain), '')
  }
  if (smtp !== null) {
    lines.push('  Send over SMTP:', '', curlSmtp(smtp, token, domain), '')
  }
  return lines.join('\n')
}

function curlHttp(http: string, token: string, domain: string): string {
  const body = {
    from: { email: `hello@${domain}` },
    to: [{ email: 'you@example.net' }],
    subject: 'Hello',
    text: 'It works.',
  }
  return `curl ${http}/api/send -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`
}

/** One line that any shell runs, whatever stands on standard input. */
function curlSmtp(smtp: string, token: string, domain: string): string {
  const message = `From: hello@${domain}\\r\\nTo: you@example.net\\r\\nSubject: Hello\\r\\n\\r\\nIt works.\\r\\n`
  const url = smtp.includes('://') ? smtp : `smtp://${smtp}`
  return `printf '${message}' | curl ${url} --user 'api:${token}' --mail-from hello@${domain} --mail-rcpt you@example.net --upload-file -`
}
