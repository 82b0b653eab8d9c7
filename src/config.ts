import { logLevels } from './log.ts'
import { fileProblems } from './setting-files.ts'
import * as parse from './setting-parsers.ts'

/**
 * Every setting, once: its variable, how it is read, its default as text, and what it means. Flags, file and environment,
 * `--help` and docs/settings.md all come from this table.
 */
interface Setting<T> {
  readonly variable: string
  readonly parse: parse.Parser<T>
  readonly about: string
  /** Defaults where none is given: nothing. */
  readonly dev?: string
  readonly serve?: string
}

/** `dev` runs everything with a sink, `serve` is production, `tool` is a command beside them. */
export type Mode = 'dev' | 'serve' | 'tool'

const hour = 3_600_000

export const settings = {
  httpListen: both('POSTERN_HTTP_LISTEN', optional(parse.listen), {
    dev: '127.0.0.1:8080',
    serve: '0.0.0.0:8080',
    about: 'HTTP gateway; "none" to run without',
  }),
  httpsListen: one('POSTERN_HTTPS_LISTEN', parse.listen, 'HTTP gateway with TLS'),
  smtpListen: both('POSTERN_SMTP_LISTEN', optional(parse.listOf(parse.listen)), {
    dev: '127.0.0.1:2525',
    serve: '0.0.0.0:2525',
    about: 'SMTP gateway, comma-separated; "none" to run without',
  }),
  smtpsListen: one(
    'POSTERN_SMTPS_LISTEN',
    parse.listOf(parse.listen),
    'SMTP gateway with implicit TLS, comma-separated',
  ),
  smtpListenBulk: one(
    'POSTERN_SMTP_LISTEN_BULK',
    parse.listOf(parse.listen),
    'SMTP gateway of the bulk stream, comma-separated',
  ),
  adminListen: both('POSTERN_ADMIN_LISTEN', parse.listen, {
    dev: '127.0.0.1:8081',
    serve: '127.0.0.1:8081',
    about: 'control plane: management API, /metrics, /livez, /readyz, /.well-known/jwks.json',
  }),
  adminTlsCert: one('POSTERN_ADMIN_TLS_CERT', parse.text, 'certificate file of the control plane'),
  adminTlsKey: one('POSTERN_ADMIN_TLS_KEY', parse.text, 'private key file of the control plane'),
  publicHttpUrl: one(
    'POSTERN_PUBLIC_HTTP_URL',
    parse.publicUrl('http:', 'https:'),
    'what people are shown for HTTP',
  ),
  publicSmtpUrl: one(
    'POSTERN_PUBLIC_SMTP_URL',
    parse.publicUrl('smtp:', 'smtps:'),
    'what people are shown for SMTP',
  ),
  publicAdminUrl: one(
    'POSTERN_PUBLIC_ADMIN_URL',
    parse.publicUrl('http:', 'https:'),
    'what people are shown for the control plane; `iss` of assertions',
  ),
  securityContact: one(
    'POSTERN_SECURITY_CONTACT',
    parse.contact,
    'https:// URL or mailto:ADDRESS for reports of vulnerabilities, shown in /.well-known/security.txt of the control plane',
  ),
  upstreamHttp: one('POSTERN_UPSTREAM_HTTP', parse.httpUpstream, 'URL of the Email API'),
  upstreamHttpBulk: one(
    'POSTERN_UPSTREAM_HTTP_BULK',
    parse.httpUpstream,
    'URL of the Email API for the bulk stream',
  ),
  upstreamHttpSandbox: one(
    'POSTERN_UPSTREAM_HTTP_SANDBOX',
    parse.httpUpstream,
    'URL of the Email API for the sandbox stream',
  ),
  upstreamHttpHeadersFile: one(
    'POSTERN_UPSTREAM_HTTP_HEADERS_FILE',
    parse.text,
    'file of "Name: value" lines added towards the Email API: its own credential, and a Host if it needs another',
  ),
  upstreamSmtp: one(
    'POSTERN_UPSTREAM_SMTP',
    parse.smtpUpstream,
    'smtp://, smtps:// or smtp+starttls:// of the relay; user information in it is AUTH',
  ),
  upstreamSmtpBulk: one(
    'POSTERN_UPSTREAM_SMTP_BULK',
    parse.smtpUpstream,
    'the relay for the bulk stream',
  ),
  upstreamCa: one('POSTERN_UPSTREAM_CA', parse.text, 'PEM file: trust for TLS to the upstreams'),
  upstreamTimeoutMs: both('POSTERN_UPSTREAM_TIMEOUT_MS', parse.integer(100, hour), {
    dev: '60000',
    serve: '60000',
    about: 'how long an upstream may stay silent',
  }),
  hostsBulk: one('POSTERN_HOSTS_BULK', parse.listOf(parse.hostName), 'hosts of the bulk stream'),
  hostsSandbox: one(
    'POSTERN_HOSTS_SANDBOX',
    parse.listOf(parse.hostName),
    'hosts of the sandbox stream',
  ),
  httpRoutes: one(
    'POSTERN_HTTP_ROUTES',
    parse.listOf(parse.route),
    'further routes: "METHOD /path send|batch|authenticated", comma-separated',
  ),
  httpForbiddenStatus: both('POSTERN_HTTP_FORBIDDEN_STATUS', parse.oneOf('403', '401'), {
    dev: '403',
    serve: '403',
    about: 'answer to a live token that may not send as the domain; the vendor says 401',
  }),
  databaseUrl: both('POSTERN_DATABASE_URL', parse.databaseUrl, {
    dev: 'sqlite:./data/postern.db',
    serve: 'sqlite:./data/postern.db',
    about: 'sqlite:PATH or postgres://…',
  }),
  databasePool: both('POSTERN_DATABASE_POOL', parse.integer(1, 1000), {
    dev: '10',
    serve: '10',
    about:
      'connections that a process keeps to PostgreSQL for look-ups and changes, besides three of its own',
  }),
  workers: both('POSTERN_WORKERS', parse.integer(1, 1024), {
    dev: '1',
    serve: '1',
    about: 'processes of serve that take mail; above 1 needs PostgreSQL',
  }),
  leaseMs: both('POSTERN_LEASE_MS', parse.integer(500, hour / 6), {
    dev: '10000',
    serve: '10000',
    about:
      'how long a gate decides after it last heard from the database; changes wait as long for a silent one',
  }),
  outage: both('POSTERN_OUTAGE', parse.outage, {
    dev: 'closed',
    serve: 'closed',
    about:
      'closed, or grace:5m to go on deciding from the cache so much longer while the database is away; changes then wait as much longer for a silent gate',
  }),
  redisUrl: one(
    'POSTERN_REDIS_URL',
    parse.redisTarget,
    'a cache that gates share: redis://, redis-sentinel://HOST,…/NAME or redis-cluster://HOST,…, each with rediss for TLS',
  ),
  redisCa: one('POSTERN_REDIS_CA', parse.text, 'PEM file: trust for TLS to Redis'),
  cacheEntries: both('POSTERN_CACHE_ENTRIES', parse.integer(1, 10_000_000), {
    dev: '100000',
    serve: '100000',
    about: 'tokens, and as many domains, that a gate keeps in memory',
  }),
  tlsCert: one('POSTERN_TLS_CERT', parse.text, 'certificate file, reloaded when it changes'),
  tlsKey: one('POSTERN_TLS_KEY', parse.text, 'private key file, reloaded when it changes'),
  allowInsecureAuth: both('POSTERN_ALLOW_INSECURE_AUTH', parse.flag, {
    dev: 'true',
    serve: 'false',
    about: 'SMTP AUTH without TLS',
  }),
  smtpUsernames: both('POSTERN_SMTP_USERNAMES', parse.listOf(parse.text), {
    dev: 'api,smtp@mailtrap.io',
    serve: 'api,smtp@mailtrap.io',
    about: 'user names that SMTP AUTH accepts; the password is the token',
  }),
  hostname: both('POSTERN_HOSTNAME', parse.serverName, {
    dev: parse.machineName(),
    serve: parse.machineName(),
    about: 'name in the SMTP greeting and in Received',
  }),
  tokenPrefix: both('POSTERN_TOKEN_PREFIX', parse.tokenPrefix, {
    dev: 'pst_',
    serve: 'pst_',
    about: 'prefix of new tokens',
  }),
  sealKeyFile: both('POSTERN_SEAL_KEY_FILE', parse.text, {
    dev: './data/seal.key',
    serve: './data/seal.key',
    about: '32 bytes in base64; made on first use with SQLite, required with PostgreSQL',
  }),
  sealTokens: both('POSTERN_SEAL_TOKENS', parse.flag, {
    dev: 'true',
    serve: 'true',
    about: 'keep sealed copies, so that a token can be copied later',
  }),
  resetWindowMs: both('POSTERN_RESET_WINDOW_MS', parse.integer(0, 30 * 24 * hour), {
    dev: String(12 * hour),
    serve: String(12 * hour),
    about: 'how long a reset token goes on working',
  }),
  accountDomains: both('POSTERN_ACCOUNT_DOMAINS', parse.oneOf('deny', 'verify', 'allow'), {
    dev: 'allow',
    serve: 'verify',
    about:
      'may an account add domains itself: "deny", "verify" (not sendable before it is verified), "allow"',
  }),
  dnsResolvers: one(
    'POSTERN_DNS_RESOLVERS',
    parse.listOf(parse.resolver),
    "resolvers that are asked whether a domain is verified: ADDRESS or ADDRESS:PORT, comma-separated; the system's if none is named",
  ),
  domainCheckMs: both('POSTERN_DOMAIN_CHECK_MS', parse.integer(100, hour), {
    dev: '60000',
    serve: '60000',
    about:
      'how soon a domain that is not verified yet is looked up by itself; then ever more rarely, for 14 days',
  }),
  sweepIntervalMs: both('POSTERN_SWEEP_INTERVAL_MS', parse.integer(100, 24 * hour), {
    dev: String(hour / 4),
    serve: String(hour / 4),
    about: 'how often ended tokens are removed',
  }),
  maxBodyBytes: both('POSTERN_MAX_BODY_BYTES', parse.integer(1), {
    dev: '52428800',
    serve: '52428800',
    about: 'largest HTTP body',
  }),
  maxMessageBytes: both('POSTERN_MAX_MESSAGE_BYTES', parse.integer(1), {
    dev: '31457280',
    serve: '31457280',
    about: 'largest SMTP message',
  }),
  tokenRate: both('POSTERN_TOKEN_RATE', parse.rate, {
    dev: '150/10s',
    serve: '150/10s',
    about: 'requests and messages of one token, unless it has a rate of its own; or off',
  }),
  authFailureLimit: both('POSTERN_AUTH_FAILURE_LIMIT', parse.rate, {
    dev: '30/1m',
    serve: '30/1m',
    about:
      'failed authentications of one client (IPv4 address, or IPv6 /64), over HTTP and SMTP, and eight times as many of the network around it; or off. A live token is served all the same',
  }),
  connectionLimit: both('POSTERN_CONNECTION_LIMIT', parse.connectionLimit, {
    dev: 'address:100,account:1000',
    serve: 'address:100,account:1000',
    about:
      'SMTP connections at once of one client address and of one account, in each process; or off',
  }),
  smtpGreetingDelayMs: both('POSTERN_SMTP_GREETING_DELAY_MS', parse.integer(0, 60_000), {
    dev: '100',
    serve: '100',
    about:
      'how long an SMTP client waits for its greeting; one that talks sooner is turned away, as programs that only guess do. 0 for at once, and nobody is',
  }),
  bodyMemoryBytes: both('POSTERN_BODY_MEMORY_BYTES', optionalLimit(parse.integer(1)), {
    dev: '536870912',
    serve: '536870912',
    about:
      'memory of a process for HTTP bodies that are read or forwarded, half of it at most for one account; beyond it the answer is 503; or off',
  }),
  trustedProxies: one(
    'POSTERN_TRUSTED_PROXIES',
    parse.listOf(parse.network),
    'addresses and networks of proxies, comma-separated: their X-Forwarded-For is believed, and their SMTP connections begin with a PROXY header (version 1)',
  ),
  shutdownTimeoutMs: both('POSTERN_SHUTDOWN_TIMEOUT_MS', parse.integer(0, hour), {
    dev: '5000',
    serve: '30000',
    about: 'how long what is in flight may take to finish after SIGTERM',
  }),
  sinkHttpListen: {
    ...one('POSTERN_SINK_HTTP_LISTEN', parse.listen, 'Email API of the sink; dev only'),
    dev: '127.0.0.1:0',
  },
  sinkSmtpListen: {
    ...one('POSTERN_SINK_SMTP_LISTEN', parse.listen, 'SMTP server of the sink; dev only'),
    dev: '127.0.0.1:0',
  },
  logLevel: both('POSTERN_LOG_LEVEL', parse.oneOf(...logLevels), {
    dev: 'warn',
    serve: 'info',
    about: 'debug, info, warn, error or silent',
  }),
  readyFile: one('POSTERN_READY_FILE', parse.text, 'gets one JSON object once everything listens'),
} as const

/** What the command line asks another machine's gate with; no gate reads them. */
export const apiSettings = {
  url: {
    variable: 'POSTERN_URL',
    value: 'URL',
    about:
      'a gate\'s control plane, such as https://gate.internal:8081; "none" for the store of this machine',
  },
  tokenFile: {
    variable: 'POSTERN_TOKEN_FILE',
    value: 'FILE',
    about: 'file that holds the API token which asks; "-" is standard input',
  },
  token: {
    variable: 'POSTERN_TOKEN',
    value: 'TOKEN',
    about: 'the token itself; on a command line everybody on the machine can see it',
  },
  ca: {
    variable: 'POSTERN_CA',
    value: 'FILE',
    about: 'PEM file: whom to trust for TLS, besides those whom Node trusts',
  },
  timeout: {
    variable: 'POSTERN_TIMEOUT',
    value: 'DURATION',
    default: '60s',
    about: 'how long to wait for an answer, 60s if not said: a change waits for silent gates',
  },
} as const

type Settings = typeof settings
type Value<S> = S extends Setting<infer T> ? T : never

/** The settings as given or by default; those without either are undefined. */
export type Config = { readonly mode: Mode } & {
  readonly [K in keyof Settings]: Settings[K] extends { readonly fixed: true }
    ? Value<Settings[K]>
    : Value<Settings[K]> | undefined
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Text by variable name, the strongest source first: flags, environment, file. */
export type Sources = readonly Readonly<Record<string, string | undefined>>[]

/** Reads every setting, and says every problem at once, each with its setting's name. */
export function parseConfig(mode: Mode, sources: Sources): ConfigResult {
  const problems: string[] = []
  const unreadable = new Set<string>()
  const values: Record<string, unknown> = { mode }
  for (const [key, setting] of Object.entries<Setting<unknown>>(settings)) {
    const given = sources.map((source) => source[setting.variable]).find((value) => value)
    const chosen = given ?? (mode === 'dev' ? setting.dev : setting.serve)
    values[key] = undefined
    if (chosen === undefined || (chosen === 'none' && setting.dev === undefined)) continue
    try {
      values[key] = setting.parse(chosen)
    } catch (error) {
      unreadable.add(setting.variable)
      problems.push(`${setting.variable} ${error instanceof Error ? error.message : error}`)
    }
  }
  const config = Object.freeze(values) as Config
  // One problem a setting: what was given, and is wrong, is not missing too.
  problems.push(...contradictions(config).filter((problem) => !unreadable.has(firstWord(problem))))
  // A command beside the gate may run as someone who cannot read all of its files, and does not need them.
  if (mode !== 'tool') problems.push(...fileProblems(config))
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, config, warnings: [...unknownVariables(sources), ...doubts(config)] }
}

function firstWord(text: string): string {
  return text.split(' ', 1)[0] ?? ''
}

/** What no setting can know by itself. */
function contradictions(config: Config): string[] {
  const problems: string[] = []
  function need(condition: boolean, problem: string) {
    if (!condition) problems.push(problem)
  }
  need(
    (config.tlsCert === undefined) === (config.tlsKey === undefined),
    'POSTERN_TLS_CERT and POSTERN_TLS_KEY go together: set both or none',
  )
  need(
    (config.adminTlsCert === undefined) === (config.adminTlsKey === undefined),
    'POSTERN_ADMIN_TLS_CERT and POSTERN_ADMIN_TLS_KEY go together: set both or none',
  )
  if (config.mode === 'tool') return problems
  const { bodyMemoryBytes, maxBodyBytes } = config
  need(
    bodyMemoryBytes === null || bodyMemoryBytes === undefined || bodyMemoryBytes >= maxBodyBytes,
    'POSTERN_BODY_MEMORY_BYTES must have room for one body: at least POSTERN_MAX_BODY_BYTES',
  )
  for (const [variable, value] of [
    ['POSTERN_SMTPS_LISTEN', config.smtpsListen],
    ['POSTERN_HTTPS_LISTEN', config.httpsListen],
  ] as const) {
    need(
      value === undefined || config.tlsCert !== undefined,
      `${variable} needs POSTERN_TLS_CERT and POSTERN_TLS_KEY`,
    )
  }
  if (config.mode !== 'serve') return problems
  need(
    config.workers === 1 || config.databaseUrl?.startsWith('postgres') !== false,
    'POSTERN_WORKERS above 1 needs PostgreSQL: set POSTERN_DATABASE_URL',
  )
  const { httpListen, httpsListen, smtpListen, smtpsListen, smtpListenBulk } = config
  need(
    config.upstreamHttp !== undefined || (httpListen ?? httpsListen) === undefined,
    'POSTERN_UPSTREAM_HTTP is required: the URL of the Email API behind the gate',
  )
  need(
    config.upstreamSmtp !== undefined || (smtpListen ?? smtpsListen) === undefined,
    'POSTERN_UPSTREAM_SMTP is required: the relay behind the gate, such as smtp://relay.internal:25',
  )
  for (const [variable, value, upstream] of [
    ['POSTERN_HOSTS_BULK', config.hostsBulk, 'upstreamHttpBulk'],
    ['POSTERN_HOSTS_SANDBOX', config.hostsSandbox, 'upstreamHttpSandbox'],
    ['POSTERN_SMTP_LISTEN_BULK', smtpListenBulk, 'upstreamSmtpBulk'],
  ] as const) {
    need(
      value === undefined || config[upstream] !== undefined,
      `${variable} needs ${settings[upstream].variable}`,
    )
  }
  return problems
}

function doubts(config: Config): string[] {
  if (config.mode !== 'serve' || config.smtpListen === undefined) return []
  if (config.allowInsecureAuth) {
    return ['POSTERN_ALLOW_INSECURE_AUTH is true: tokens may cross the network in the clear']
  }
  if (config.tlsCert === undefined) {
    return ['without POSTERN_TLS_CERT there is no STARTTLS, so that nobody can sign in over SMTP']
  }
  return []
}

/** A variable that is spelled wrong has no effect, which its owner would want to know. */
function unknownVariables(sources: Sources): string[] {
  const own = Object.values<Setting<unknown>>(settings)
  const known = new Set([...own, ...Object.values(apiSettings)].map(({ variable }) => variable))
  const given = sources.flatMap((source) => Object.keys(source))
  return [...new Set(given)]
    .filter(
      (name) => name.startsWith('POSTERN_') && !known.has(name) && name !== configFileVariable,
    )
    .map((name) => `${name} is not a setting of this version and has no effect`)
}

/** Names the optional file of `NAME=value` lines; itself never in that file. */
export const configFileVariable = 'POSTERN_CONFIG_FILE'

/** `POSTERN_HTTP_LISTEN` is `--http-listen` on the command line. */
export function flagName(variable: string): string {
  return variable
    .replace(/^POSTERN_/, '')
    .replaceAll('_', '-')
    .toLowerCase()
}

function one<T>(variable: string, parser: parse.Parser<T>, about: string): Setting<T> {
  return { variable, parse: parser, about }
}

/** A setting that has a value in every mode. */
function both<T>(
  variable: string,
  parser: parse.Parser<T>,
  rest: { dev: string; serve: string; about: string },
): Setting<T> & { readonly fixed: true } {
  return { variable, parse: parser, fixed: true, ...rest }
}

/** A limit that can be taken away: null. */
function optionalLimit<T>(parser: parse.Parser<T>): parse.Parser<T | null> {
  return (value) => (value === 'off' ? null : parser(value))
}

function optional<T>(parser: parse.Parser<T>): parse.Parser<T | undefined> {
  return (value) => (value === 'none' ? undefined : parser(value))
}
