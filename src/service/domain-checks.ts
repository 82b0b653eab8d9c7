import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { AccountDomain, Registry } from './ports/registry.ts'
import type { Verification, VerifyDomain } from './verify-domain.ts'

/** What a round looks at: a resolver that is silent makes it last a minute at most. */
const maxChecksPerRound = 100
const maxChecksAtOnce = 10
/** How long another gate leaves alone what this one has taken: longer than a round lasts. */
const claimMs = 5 * 60_000

const actor = { name: 'System', origin: 'dns' }

interface DomainChecksDeps {
  readonly registry: Pick<Registry, 'claimDomainChecks'>
  readonly verify: Pick<VerifyDomain, 'byItself'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly intervalMs: number
}

/** Looks at the records of pending domains whose turn it is. Several gates do it side by side. */
export function createDomainChecks({ registry, verify, clock, log, intervalMs }: DomainChecksDeps) {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isStopping = false

  async function check(domain: AccountDomain): Promise<Verification | undefined> {
    try {
      return await verify.byItself(domain, actor)
    } catch (error) {
      // Its claim runs out, and then it is looked at again.
      log.warn({ event: 'domain_check_failed', domainId: domain.id, error: String(error) })
      return undefined
    }
  }

  /** One line for a round: an outage of the DNS is about all of them. */
  function report(verifications: readonly Verification[]) {
    for (const { outcome } of verifications) {
      if (!outcome.done || outcome.value.state !== 'verified') continue
      const { id: domainId, name, accountId } = outcome.value
      log.info({ event: 'domain_verified', domainId, name, accountId })
    }
    const unanswered = verifications.flatMap(({ check: look }) => (look?.trouble ? [look] : []))
    const [first] = unanswered
    if (first === undefined) return
    const { record, trouble: reason } = first
    const domains = unanswered.length
    log.warn({ event: 'dns_unanswered', domains, name: record.name, reason })
  }

  /** Looks at the domains whose turn it is. */
  async function round(): Promise<void> {
    const at = clock.now()
    const due = await registry.claimDomainChecks({
      at,
      until: at + claimMs,
      limit: maxChecksPerRound,
    })
    const queue = due.values()
    const verifications: Verification[] = []
    async function work() {
      for (const domain of queue) {
        const verification = await check(domain)
        if (verification !== undefined) verifications.push(verification)
        if (isStopping) return
      }
    }
    await Promise.all(Array.from({ length: maxChecksAtOnce }, work))
    report(verifications)
  }

  async function roundAndLog() {
    try {
      await round()
    } catch (error) {
      // The next round tries again.
      log.warn({ event: 'domain_checks_failed', error: String(error) })
    } finally {
      running = undefined
    }
  }

  return {
    round,
    start() {
      timer = setInterval(() => {
        running ??= roundAndLog()
      }, intervalMs)
      timer.unref()
    },
    /** Ends after the look-ups that are under way. */
    async stop() {
      isStopping = true
      clearInterval(timer)
      await running
    },
  }
}
