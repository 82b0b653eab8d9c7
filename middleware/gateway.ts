import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import type { Clock } from '../src/clock.ts'
import type { Decision } from '../src/core/decide.ts'
import { isPromise } from '../src/core/maybe-promise.ts'
import type { Log } from '../src/log.ts'
import type { Metrics } from '../src/metrics.ts'
import type { Random } from '../src/random.ts'
import { type AdmissionDeps, createAdmission } from '../src/service/admission.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import type { AssertionSigner } from '../src/service/ports/assertions.ts'
import type { BodyMemory, RateLimit } from '../src/service/ports/limits.ts'
import { authenticate } from './authenticate.ts'
import { bearer, type ClientAddress } from './bearer.ts'
import { readBody } from './body.ts'
import { bufferPool } from './buffer-pool.ts'
import {
  answer,
  type ForbiddenStatus,
  type Refusal,
  refuse,
  refuseForUpstream,
  refuseUndecided,
} from './challenge.ts'
import { countFields } from './content.ts'
import { type Answer, type Exchange, openExchange, type Step } from './exchange.ts'
import type { Forwarded, HttpUpstream } from './forward.ts'
import { answerHeaders, createRequestFields } from './headers.ts'
import { isHost } from './host.ts'
import { createRouteMatcher, type MatchedRoute, type Route, sendRoutes } from './routes.ts'
import { holdMemory, refuseUnread, sender } from './sender.ts'
import { createUpstreams, type UpstreamsOptions } from './upstreams.ts'

export interface HttpGatewayDeps {
  readonly authenticator: Authenticator
  readonly limits?: HttpLimits | undefined
  readonly assertions: AssertionSigner
  readonly clock: Clock
  readonly random: Pick<Random, 'uuid'>
  readonly log: Log
  readonly metrics: Metrics
}

export interface HttpGatewayOptions extends UpstreamsOptions {
  readonly routes: readonly Route[]
  readonly operatorHeaders: readonly (readonly [string, string])[]
  readonly maxBodyBytes: number
  readonly forbiddenStatus: ForbiddenStatus
}

/** What keeps one client from being the only one. Left out: nothing is limited. */
export interface HttpLimits extends Omit<AdmissionDeps, 'authenticator'> {
  readonly rate?: RateLimit | undefined
  readonly bodyMemory?: BodyMemory | undefined
  readonly clientAddress?: ClientAddress | undefined
  /** Whose `X-Forwarded-Proto` is believed. */
  readonly isTrustedProxy?: ((remoteAddress: string) => boolean) | undefined
}

/** The gateway's own: by which route, to which Email API. */
interface GatewayExchange extends Exchange {
  matched: MatchedRoute
  upstream: HttpUpstream
}

/** A token that changes more often than this within one request is not to be decided on. */
const maxForwards = 3

/** The HTTP data plane: route → bearer → authenticate → sender → signer → headers → forward. */
export function createHttpApp(deps: HttpGatewayDeps, options: HttpGatewayOptions) {
  const { authenticator, assertions, clock, random, log, metrics, limits = {} } = deps
  const { rate, bodyMemory, clientAddress } = limits
  const admission = createAdmission({ authenticator, ...limits })
  const { maxBodyBytes, forbiddenStatus } = options
  const match = createRouteMatcher([...sendRoutes, ...options.routes])
  const upstreams = createUpstreams(options)
  const requestFields = createRequestFields(options.operatorHeaders)
  const checkDeps = { authenticator, admission, rate, clock, report, onFault, bodyMemory }
  const checkSend = sender({ ...checkDeps, kind: 'send', maxBodyBytes, forbiddenStatus })
  const checkBatch = sender({ ...checkDeps, kind: 'batch', maxBodyBytes, forbiddenStatus })

  const logOf = (stage: string) => log.child({ event: 'decision', protocol: 'http', stage })
  const logs = { auth: logOf('auth'), message: logOf('message') }

  function report(exchange: Exchange, stage: 'auth' | 'message', decision: Decision, ms = 0) {
    metrics.decided('http', stage, decision, ms)
    const { requestId, remoteAddress } = exchange
    const { allowed } = decision
    const about = allowed ? decision.principal : decision
    logs[stage].info({
      requestId,
      allowed,
      reason: allowed ? undefined : decision.reason,
      domain: allowed ? undefined : decision.domain,
      tokenId: about.tokenId,
      accountId: 'accountId' in about ? about.accountId : undefined,
      remoteAddress,
    })
  }

  function onFault({ requestId }: Exchange, fault: unknown) {
    metrics.couldNotDecide('http')
    log.error({ event: 'undecided', protocol: 'http', requestId, error: String(fault) })
  }

  /** Finds the route and the stream; what is not listed never gets further. */
  function route(exchange: GatewayExchange): Answer {
    const { rawHeaders, headers, method = '', url = '', httpVersion } = exchange.incoming
    // Node's parser also reads the lines of versions that have none, or other ones.
    if (httpVersion !== '1.1' && httpVersion !== '1.0') {
      return refuse(exchange, 400, ['Only HTTP/1.1 and HTTP/1.0 are spoken here'])
    }
    if (countFields(rawHeaders, 'host') !== 1) {
      return refuse(exchange, 400, ['Exactly one Host field is required'])
    }
    if (!isHost(headers.host ?? '')) {
      return refuse(exchange, 400, ['The Host field is malformed'])
    }
    if (/[^\x21-\x7e]/.test(url)) return refuse(exchange, 400, ['The request target is malformed'])
    const matched = match(method, url)
    if (matched === undefined) return refuse(exchange, 404, ['Not Found'])
    exchange.matched = matched
    exchange.upstream = upstreams.of(headers.host)
    return undefined
  }

  function checkBody(exchange: GatewayExchange): Answer {
    switch (exchange.matched.route.check) {
      case 'send':
        return checkSend(exchange)
      case 'batch':
        return checkBatch(exchange)
      case 'authenticated':
        return keepBody(exchange)
    }
  }

  async function keepBody(exchange: GatewayExchange) {
    const read = await readBody(exchange.incoming, exchange.outgoing, {
      limit: maxBodyBytes,
      take: holdMemory(exchange, bodyMemory),
    })
    if (read.state !== 'complete') return refuseUnread(exchange, read.state, maxBodyBytes)
    exchange.body = read.chunks
    exchange.senders = []
    return undefined
  }

  function sign({ presented, upstream, principal, senders }: GatewayExchange) {
    const audience = upstream.origin
    return assertions.sign(presented, { audience, principal, senders, protocol: 'http' })
  }

  function forward(exchange: GatewayExchange, assertion: string) {
    const { incoming, outgoing, principal, requestId, remoteAddress, matched } = exchange
    const checksJson = matched.route.check !== 'authenticated'
    const { host, 'content-type': contentType } = incoming.headers
    const fields = requestFields(incoming.rawHeaders, {
      principal,
      assertion,
      requestId,
      remoteAddress,
      protocol: clientProtocol(incoming),
      host,
      contentType: checksJson ? 'application/json' : contentType,
    })
    const request = {
      method: matched.route.method,
      path: matched.path,
      fields,
      body: exchange.body,
    }
    return exchange.upstream.forward(request, outgoing, {
      mayFinish: exchange.clearance.stillHolds,
      bodyTaken() {
        bufferPool.release(exchange.body)
        // Another's by now.
        exchange.body = []
      },
      answerHeaders: (fields) => answerHeaders(fields, { principal, requestId }),
      broken: (error) => reportUpstreamFailure(exchange, 'misbehaved', error),
    })
  }

  /** What the client spoke with the gate, or with the trusted proxy that ended its TLS. */
  function clientProtocol({ socket, headers }: IncomingMessage): 'http' | 'https' {
    if ('encrypted' in socket) return 'https'
    if (headers['x-forwarded-proto'] !== 'https') return 'http'
    return limits.isTrustedProxy?.(socket.remoteAddress ?? '') === true ? 'https' : 'http'
  }

  function reportUpstreamFailure(exchange: GatewayExchange, failure: string, error: Error) {
    metrics.upstreamFailed('http')
    log.warn({
      event: 'upstream_failed',
      protocol: 'http',
      requestId: exchange.requestId,
      upstream: exchange.upstream.origin,
      failure,
      error: error.message,
    })
  }

  const readBearer = bearer({ authenticator, admission, report, clientAddress })
  const checkStanding = authenticate(checkDeps)
  const steps: readonly Step<GatewayExchange>[] = [route, readBearer, checkStanding, checkBody]

  /** One `async` function for the whole way, and `await` for promises only: each more costs as much as a small check. */
  async function serve(incoming: IncomingMessage, outgoing: ServerResponse) {
    const exchange = openExchange(incoming, outgoing, random.uuid()) as GatewayExchange
    let refusal: Refusal | undefined
    // Node's parser is in the middle of what came. It goes on first: it may refuse the framing, and most bodies are there then.
    await undefined
    try {
      for (const step of steps) {
        const asked = step(exchange)
        refusal = isPromise(asked) ? await asked : asked
        if (refusal !== undefined) break
      }
      for (let attempt = 1; refusal === undefined; attempt++) {
        const signed = sign(exchange)
        const forwarded = await forward(exchange, isPromise(signed) ? await signed : signed)
        if (forwarded === 'done') return
        refusal = await reconsider(exchange, forwarded, attempt)
      }
    } catch (fault) {
      onFault(exchange, fault)
      refusal = refuseUndecided(exchange)
    }
    if (!outgoing.headersSent) answer(outgoing, refusal, exchange.requestId)
  }

  /** What was decided may be true no more when the upstream's connection is there: then it is decided anew. */
  async function reconsider(
    exchange: GatewayExchange,
    forwarded: Exclude<Forwarded, 'done'>,
    attempt: number,
  ) {
    if (forwarded !== 'superseded') {
      reportUpstreamFailure(exchange, forwarded.failure, forwarded.error)
      return refuseForUpstream(exchange, forwarded.failure)
    }
    const refusal = await exchange.clearance.renew()
    if (refusal !== undefined || attempt < maxForwards) return refusal
    onFault(exchange, new Error('the decision was superseded again and again'))
    return refuseUndecided(exchange)
  }

  // The route is found by the raw path, and never by what a URL parser makes of it.
  const app = new Hono<{ Bindings: HttpBindings }>({ getPath: () => '/' })
  // Answers are written straight into Node's response: a `Response` of its own would cost more than all the checks.
  app.all('*', ({ env: { incoming, outgoing } }) => {
    void serve(incoming, outgoing)
    return RESPONSE_ALREADY_SENT
  })

  /** Not the adapter's listener: Hono reads only the method, and to make a whole `Request` costs more than Hono itself. */
  function listener(incoming: IncomingMessage, outgoing: ServerResponse) {
    const request = { method: incoming.method ?? '' } as Request
    void app.fetch(request, { incoming, outgoing })
  }

  return {
    listener,
    /** Lets the upstream connections finish. */
    close: () => upstreams.close(),
  }
}
