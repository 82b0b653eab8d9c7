import type { AddressInfo } from 'node:net'
import type { SMTPServerOptions } from 'smtp-server'
import type { Clock } from '../src/clock.ts'
import type { Log } from '../src/log.ts'
import type { Metrics } from '../src/metrics.ts'
import { type AdmissionDeps, createAdmission } from '../src/service/admission.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import type { AssertionSigner } from '../src/service/ports/assertions.ts'
import type { RateLimit, Seats } from '../src/service/ports/limits.ts'
import { GateServer } from './gate-server.ts'
import { createHooks, type Hooks } from './hooks.ts'
import { authenticationRequired, hookError } from './reply.ts'
import type { UpstreamTrouble } from './reply-line.ts'
import { createSenderCheck } from './sender.ts'
import type { DecisionReport, Session } from './session.ts'
import { createSubmission } from './submission.ts'
import type { SmtpUpstream } from './upstream-connection.ts'
import { createUpstreamPool, type UpstreamPool } from './upstream-pool.ts'

export type { SmtpUpstream } from './upstream-connection.ts'

export type SmtpStream = 'transactional' | 'bulk'

export interface SmtpListener {
  readonly host: string
  readonly port: number
  /** TLS from the first byte (RFC 8314 §3.3); else STARTTLS, where there is a certificate. */
  readonly implicitTls: boolean
  readonly stream: SmtpStream
}

/** A certificate that may be renewed while the gate runs. */
export interface RenewableCertificate {
  current(): { readonly cert: string; readonly key: string }
  onChange(listener: (pair: { readonly cert: string; readonly key: string }) => void): () => void
}

export interface SmtpGatewayOptions {
  readonly listeners: readonly SmtpListener[]
  /** A stream without a relay of its own goes to the transactional one. */
  readonly upstreams: { readonly transactional: SmtpUpstream; readonly bulk?: SmtpUpstream }
  /** What the gate calls itself, to clients and to the upstream. */
  readonly hostname: string
  readonly usernames: readonly string[]
  readonly allowInsecureAuth: boolean
  readonly maxMessageBytes: number
  readonly upstreamTimeoutMs: number
  /** Whoever talks sooner is turned away; left out, smtp-server's own. */
  readonly greetingDelayMs?: number | undefined
  readonly tls?: RenewableCertificate
}

/** What keeps one client from being the only one. Left out: nothing is limited. */
export interface SmtpLimits extends Omit<AdmissionDeps, 'authenticator'> {
  readonly rate?: RateLimit | undefined
  /** Connections of one client, and of one account. */
  readonly clientSeats?: Seats | undefined
  readonly accountSeats?: Seats | undefined
  /** Whether a connection from there begins with a PROXY header that is to be believed. */
  readonly isTrustedProxy?: ((remoteAddress: string) => boolean) | undefined
}

export interface SmtpGatewayDeps {
  readonly authenticator: Authenticator
  readonly limits?: SmtpLimits | undefined
  readonly assertions: AssertionSigner
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** RFC 5321 §4.5.3.2.7: a server waits five minutes for the next command. */
const clientTimeoutMs = 300_000
/** RFC 5321 §4.5.3.1.8 asks for 100 at least; the vendor takes 1000. */
const maxRecipients = 1000

export function createSmtpGateway(deps: SmtpGatewayDeps, options: SmtpGatewayOptions) {
  const { log, metrics, clock, authenticator, limits = {} } = deps
  const { hostname, upstreamTimeoutMs: timeoutMs, maxMessageBytes, tls } = options
  const { transactional, bulk } = options.upstreams

  const connecting = { hostname, timeoutMs, clock }
  const main = createUpstreamPool(transactional, connecting)
  const pools: Record<SmtpStream, UpstreamPool> = {
    transactional: main,
    bulk: bulk === undefined ? main : createUpstreamPool(bulk, connecting),
  }
  const admission = createAdmission({ authenticator, ...limits })
  const { rate, accountSeats } = limits
  const senders = createSenderCheck({ authenticator, admission, rate, clock, report, onFault })
  const servers = options.listeners.map((listener) => ({ listener, server: build(listener) }))
  const forgetCertificate = tls?.onChange((pair) => {
    for (const { server } of servers) server.updateSecureContext(pair)
  })

  function build({ implicitTls, stream }: SmtpListener): GateServer {
    const upstream = pools[stream]
    const handover = createSubmission({
      ...deps,
      senders,
      upstream,
      hostname,
      maxMessageBytes,
      onUpstreamTrouble: (session, error) => reportTrouble(session, upstream, error),
    })
    const { usernames } = options
    const hooks = createHooks({
      senders,
      usernames,
      handover,
      maxMessageBytes,
      accountSeats,
      clock,
      onFault,
    })
    const server = new GateServer(
      { ...common(), ...tlsOptions(implicitTls), ...hooks, onData: measured(hooks.onData) },
      {
        ...limits,
        takesPlainAuth: options.allowInsecureAuth,
        greetingDelayMs: options.greetingDelayMs,
      },
    )
    // Broken connections and failed handshakes: a client's, and no reason to stop.
    server.on('error', (error) => log.debug({ event: 'smtp_connection', error: error.message }))
    return server
  }

  function common(): SMTPServerOptions {
    return {
      name: hostname,
      banner: 'Postern',
      heloResponse: '%s',
      size: maxMessageBytes,
      authMethods: ['PLAIN', 'LOGIN'],
      authRequiredMessage: hookError(authenticationRequired).message,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      disableReverseLookup: true,
      // It refuses addresses that exist; ours are read by `parseAddress` and `envelope.ts`.
      lenientAddressParsing: true,
      maxRecipients,
      socketTimeout: clientTimeoutMs,
      logger: false,
      // smtp-server's own wait for a turn of the event loop, in which a client that is greeted at once could talk too soon.
      onConnect: (_session, callback) => callback(),
      onSecure: (_socket, _session, callback) => callback(),
    }
  }

  /** Commands that smtp-server has for fun, or for a proxy that is not there, are none here. */
  function tlsOptions(implicitTls: boolean): SMTPServerOptions {
    const disabledCommands = ['WIZ', 'SHELL', 'KILL', 'XCLIENT', 'XFORWARD']
    if (tls === undefined) {
      if (implicitTls) throw new Error('a listener with implicit TLS needs a certificate')
      // smtp-server would use a key that everybody has.
      return { disabledCommands: [...disabledCommands, 'STARTTLS'], hideSTARTTLS: true }
    }
    return { ...tls.current(), secure: implicitTls, disabledCommands }
  }

  /** Counts a message from DATA to its answer. */
  function measured(onData: Hooks['onData']): Hooks['onData'] {
    return function onMeasuredData(stream, session, callback) {
      const startedAt = clock.monotonic()
      metrics.inFlight('smtp', 1)
      onData(stream, session, (error, text) => {
        metrics.inFlight('smtp', -1)
        const code = error == null ? 250 : ((error as { responseCode?: number }).responseCode ?? 0)
        metrics.answered('smtp', code, clock.monotonic() - startedAt)
        callback(error, text)
      })
    }
  }

  const logOf = (stage: string) => log.child({ event: 'decision', protocol: 'smtp', stage })
  const logs = { auth: logOf('auth'), envelope: logOf('envelope'), message: logOf('message') }

  function report(...[session, stage, decision, ms]: Parameters<DecisionReport>) {
    metrics.decided('smtp', stage, decision, ms)
    const about = decision.allowed ? decision.principal : decision
    // At the usual level a message has one line, as over HTTP.
    const level = stage === 'envelope' && decision.allowed ? 'debug' : 'info'
    logs[stage][level]({
      requestId: session.requestId(),
      allowed: decision.allowed,
      reason: decision.allowed ? undefined : decision.reason,
      domain: decision.allowed ? undefined : decision.domain,
      tokenId: about.tokenId,
      accountId: 'accountId' in about ? about.accountId : undefined,
      remoteAddress: session.remoteAddress(),
    })
  }

  function onFault(session: Session, fault: unknown) {
    metrics.couldNotDecide('smtp')
    const requestId = session.requestId()
    log.error({ event: 'undecided', protocol: 'smtp', requestId, error: String(fault) })
  }

  function reportTrouble(session: Session, upstream: UpstreamPool, error: UpstreamTrouble) {
    metrics.upstreamFailed('smtp')
    log.warn({
      event: 'upstream_failed',
      protocol: 'smtp',
      requestId: session.requestId(),
      upstream: upstream.origin,
      error: error.message,
    })
  }

  return {
    /** Resolves when every listener accepts, with the real ports; rejects when one cannot. */
    async listen(): Promise<SmtpListener[]> {
      const bound: SmtpListener[] = []
      for (const { listener, server } of servers) {
        const { address, port } = await listenOn(server, listener)
        bound.push({ ...listener, host: address, port })
      }
      return bound
    },

    /** Stops accepting, lets messages in flight through, and cuts off the rest after the deadline. */
    async close(deadlineMs: number) {
      forgetCertificate?.()
      await Promise.all(servers.map(({ server }) => server.finish(deadlineMs)))
      for (const pool of Object.values(pools)) pool.close()
    },
  }
}

function listenOn(server: GateServer, { host, port }: SmtpListener): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(port, host, () => {
      server.server.off('error', reject)
      resolve(server.server.address() as AddressInfo)
    })
  })
}
