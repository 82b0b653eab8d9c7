import type { IncomingMessage } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../src/clock.ts'
import type { Decision } from '../src/core/decide.ts'
import type { Log } from '../src/log.ts'
import type { Metrics } from '../src/metrics.ts'
import type { Random } from '../src/random.ts'
import { type AdmissionDeps, createAdmission } from '../src/service/admission.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import type { AssertionSigner, BodyMemory, RateLimit } from '../src/service/ports.ts'
import { authenticate } from './authenticate.ts'
import { bearer, type ClientAddress } from './bearer.ts'
import { readBody } from './body.ts'
import {
  errorBody,
  type ForbiddenStatus,
  refuse,
  refuseUndecided,
  upstreamAnswer,
} from './challenge.ts'
import { countFields } from './content.ts'
import type { GateEnv } from './context.ts'
import { createHttpUpstream, type HttpUpstream, type UpstreamRequest } from './forward.ts'
import { answerHeaders, upstreamHeaders } from './headers.ts'
import { createRouteMatcher, type Route, sendRoutes } from './routes.ts'
import { holdMemory, refuseUnread, sender } from './sender.ts'

export type Stream = 'transactional' | 'bulk' | 'sandbox'

export interface HttpGatewayDeps {
  readonly authenticator: Authenticator
  readonly limits?: HttpLimits | undefined
  readonly assertions: AssertionSigner
  readonly clock: Clock
  readonly random: Pick<Random, 'uuid'>
  readonly log: Log
  readonly metrics: Metrics
}

export interface HttpGatewayOptions {
  /** The Email API of each stream; only the transactional one has to be there. */
  readonly upstreams: { readonly transactional: UpstreamTarget } & {
    readonly [S in Exclude<Stream, 'transactional'>]?: UpstreamTarget | undefined
  }
  /** Which Host, without port and in lower case, is which stream; every other one is transactional. */
  readonly hosts: ReadonlyMap<string, Stream>
  readonly routes: readonly Route[]
  readonly operatorHeaders: readonly (readonly [string, string])[]
  readonly maxBodyBytes: number
  readonly forbiddenStatus: ForbiddenStatus
  readonly upstreamTimeoutMs: number
  readonly upstreamCa?: string | undefined
}

/** What keeps one client from being the only one. Left out: nothing is limited. */
export interface HttpLimits extends Omit<AdmissionDeps, 'authenticator'> {
  readonly rate?: RateLimit | undefined
  readonly bodyMemory?: BodyMemory | undefined
  readonly clientAddress?: ClientAddress | undefined
  /** Whose `X-Forwarded-Proto` is believed. */
  readonly isTrustedProxy?: ((remoteAddress: string) => boolean) | undefined
}

interface UpstreamTarget {
  readonly origin: string
  readonly basePath: string
}

/** RFC 9112 §3.2, RFC 3986 §3.2.2. */
const hostField = /^(\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?$/i

/** A token that changes more often than this within one request is not to be decided on. */
const maxForwards = 3

/** The HTTP data plane: route → bearer → authenticate → sender → signer → headers → forward. */
export function createHttpApp(deps: HttpGatewayDeps, options: HttpGatewayOptions) {
  const { authenticator, assertions, clock, random, log, metrics, limits = {} } = deps
  const { rate, bodyMemory, clientAddress } = limits
  const admission = createAdmission({ authenticator, ...limits })
  const { maxBodyBytes, forbiddenStatus, operatorHeaders } = options
  const match = createRouteMatcher([...sendRoutes, ...options.routes])
  const upstreams = connectUpstreams(options)
  const checks = { authenticator, admission, rate, clock, report, onFault, bodyMemory }
  const checkSend = sender({ ...checks, kind: 'send', maxBodyBytes, forbiddenStatus })
  const checkBatch = sender({ ...checks, kind: 'batch', maxBodyBytes, forbiddenStatus })

  function report(c: Context<GateEnv>, stage: 'auth' | 'message', decision: Decision, ms?: number) {
    metrics.decided('http', stage, decision, ms ?? 0)
    const about = decision.allowed ? decision.principal : decision
    log.info({
      event: 'decision',
      protocol: 'http',
      stage,
      requestId: c.get('requestId'),
      allowed: decision.allowed,
      ...(decision.allowed ? {} : { reason: decision.reason, domain: decision.domain }),
      tokenId: about.tokenId,
      accountId: 'accountId' in about ? about.accountId : undefined,
      remoteAddress: c.get('remoteAddress'),
    })
  }

  function onFault(c: Context<GateEnv>, fault: unknown) {
    metrics.couldNotDecide('http')
    const requestId = c.get('requestId')
    log.error({ event: 'undecided', protocol: 'http', requestId, error: String(fault) })
  }

  /** Finds the route and the stream; what is not listed never gets further. */
  const route = createMiddleware<GateEnv>(async function findRoute(c, next) {
    const { incoming } = c.env
    const { rawHeaders, method = '', url = '', httpVersion } = incoming
    // Node's parser also reads the lines of versions that have none, or other ones.
    if (httpVersion !== '1.1' && httpVersion !== '1.0') {
      return refuse(c, 400, ['Only HTTP/1.1 and HTTP/1.0 are spoken here'])
    }
    if (countFields(rawHeaders, 'host') !== 1) {
      return refuse(c, 400, ['Exactly one Host field is required'])
    }
    if (!hostField.test(incoming.headers.host ?? '')) {
      return refuse(c, 400, ['The Host field is malformed'])
    }
    if (/[^\x21-\x7e]/.test(url)) return refuse(c, 400, ['The request target is malformed'])
    const matched = match(method, url)
    if (matched === undefined) return refuse(c, 404, ['Not Found'])
    c.set('matched', matched)
    c.set('upstream', upstreams[streamOf(incoming.headers.host)])
    return next()
  })

  function streamOf(host = ''): Stream {
    // RFC 1034 §3.1: a name may end in the dot of the root. Mail for the sandbox must not go out for real because of it.
    return options.hosts.get(host.toLowerCase().replace(/\.?(:\d*)?$/, '')) ?? 'transactional'
  }

  const checkBody = createMiddleware<GateEnv>(async function checkAsRouted(c, next) {
    switch (c.get('matched').route.check) {
      case 'send':
        return checkSend(c, next)
      case 'batch':
        return checkBatch(c, next)
      case 'authenticated': {
        const read = await readBody(c.env.incoming, c.env.outgoing, {
          limit: maxBodyBytes,
          take: holdMemory(c, bodyMemory),
        })
        if (read.state !== 'complete') return refuseUnread(c, read.state, maxBodyBytes)
        c.set('body', read.chunks)
        c.set('senders', [])
        return next()
      }
    }
  })

  /** What was decided may be true no more when the upstream's connection is there: then it is decided anew. */
  async function forward(c: Context<GateEnv>) {
    for (let attempt = 0; attempt < maxForwards; attempt++) {
      if ((await forwardOnce(c)) === 'done') return RESPONSE_ALREADY_SENT
      const refused = await c.get('clearance').renew()
      if (refused !== undefined) return refused
    }
    onFault(c, new Error('the decision was superseded again and again'))
    return refuseUndecided(c)
  }

  async function forwardOnce(c: Context<GateEnv>) {
    const { outgoing } = c.env
    const principal = c.get('principal')
    const requestId = c.get('requestId')
    return c.get('upstream').forward(await upstreamRequest(c), outgoing, {
      mayFinish: c.get('clearance').stillHolds,
      answerHeaders: (headers) => answerHeaders(headers, { principal, requestId }),
      fail(failure, error) {
        const { status, sentence } = upstreamAnswer(failure)
        reportUpstreamFailure(c, failure, error)
        outgoing
          .writeHead(status, ['Content-Type', 'application/json', 'X-Request-Id', requestId])
          .end(errorBody(sentence))
      },
      broken(error) {
        reportUpstreamFailure(c, 'misbehaved', error)
        outgoing.destroy()
      },
    })
  }

  async function upstreamRequest(c: Context<GateEnv>): Promise<UpstreamRequest> {
    const { incoming } = c.env
    const principal = c.get('principal')
    const matched = c.get('matched')
    const checksJson = matched.route.check !== 'authenticated'
    const headers = upstreamHeaders(incoming.rawHeaders, {
      principal,
      assertion: await assertions.sign({
        audience: c.get('upstream').origin,
        principal,
        senders: c.get('senders'),
        protocol: 'http',
      }),
      requestId: c.get('requestId'),
      remoteAddress: c.get('remoteAddress'),
      protocol: clientProtocol(incoming),
      host: incoming.headers.host,
      contentType: checksJson ? 'application/json' : incoming.headers['content-type'],
      operatorHeaders,
    })
    return { method: matched.route.method, path: matched.path, headers, body: c.get('body') }
  }

  /** What the client spoke with the gate, or with the trusted proxy that ended its TLS. */
  function clientProtocol({ socket, headers }: IncomingMessage): 'http' | 'https' {
    if ('encrypted' in socket) return 'https'
    const isBelieved = limits.isTrustedProxy?.(socket.remoteAddress ?? '') ?? false
    return isBelieved && headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'
  }

  function reportUpstreamFailure(c: Context<GateEnv>, failure: string, error: Error) {
    metrics.upstreamFailed('http')
    log.warn({
      event: 'upstream_failed',
      protocol: 'http',
      requestId: c.get('requestId'),
      upstream: c.get('upstream').origin,
      failure,
      error: error.message,
    })
  }

  const app = new Hono<GateEnv>()
  app.use(async function identify(c, next) {
    c.set('requestId', random.uuid())
    await next()
    if (!c.env.outgoing.headersSent) c.header('X-Request-Id', c.get('requestId'))
  })
  app.use(route)
  app.use(bearer({ authenticator, admission, report, ...(clientAddress && { clientAddress }) }))
  app.use(authenticate(checks))
  app.use(checkBody)
  app.all('*', forward)
  app.notFound((c) => refuse(c, 404, ['Not Found']))
  app.onError((fault, c) => {
    onFault(c, fault)
    return refuse(c, 503, ['Service temporarily unavailable: try again'], { 'retry-after': '2' })
  })

  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    autoCleanupIncoming: false,
    errorHandler: () =>
      new Response(errorBody('The request is malformed'), {
        status: 400,
        headers: { 'content-type': 'application/json' },
      }),
  })

  return {
    listener,
    /** Lets the upstream connections finish. */
    async close() {
      await Promise.all([...new Set(Object.values(upstreams))].map((upstream) => upstream.close()))
    },
  }
}

/** A stream without an Email API of its own goes to the transactional one. */
function connectUpstreams(options: HttpGatewayOptions): Record<Stream, HttpUpstream> {
  function connect(target: UpstreamTarget) {
    const { upstreamTimeoutMs: timeoutMs, upstreamCa: ca } = options
    return createHttpUpstream({ ...target, timeoutMs, ca })
  }
  const { transactional, bulk, sandbox } = options.upstreams
  const main = connect(transactional)
  return {
    transactional: main,
    bulk: bulk === undefined ? main : connect(bulk),
    sandbox: sandbox === undefined ? main : connect(sandbox),
  }
}
