import type { Clock } from '../clock.ts'
import {
  type ChallengeRecord,
  challengeRecord,
  judgeRecords,
  type LookStatus,
  nextCheckAt,
} from '../core/challenge.ts'
import { confirmed, type Outcome } from './confirm.ts'
import type { TxtLookup } from './ports/dns.ts'
import type { AccountDomain, Actor, Confirm, DomainProof, Registry } from './ports/registry.ts'

/** One look at the DNS, in full: what was looked for, where, and what was there. */
export interface DomainCheck {
  readonly record: ChallengeRecord
  readonly status: LookStatus
  /** The records in its place, as far as a person can take in. */
  readonly found: readonly string[]
  /** Who answered; null when nobody did, and then why. */
  readonly resolver: string | null
  readonly trouble: string | null
}

export interface Verification {
  /** The domain as it is now, whether it is verified or not. */
  readonly outcome: Outcome<AccountDomain>
  /** Null where nothing had to be looked for: it was verified before. */
  readonly check: DomainCheck | null
}

interface VerifyDomainDeps {
  readonly registry: Pick<Registry, 'verifyDomain' | 'noteDomainCheck'>
  readonly lookUpTxt: TxtLookup
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now'>
  /** The first pause between two looks by themselves. */
  readonly firstCheckMs: number
}

/** A zone can have any number of records at a name, and as much in each. */
const maxShownRecords = 20
const maxShownLength = 255

export type VerifyDomain = ReturnType<typeof createVerifyDomain>

/** What makes an account's claim to a domain a domain that it may send from. */
export function createVerifyDomain(deps: VerifyDomainDeps) {
  const { registry, lookUpTxt, confirm, clock, firstCheckMs } = deps

  async function look(domain: AccountDomain, { challenge }: DomainProof): Promise<DomainCheck> {
    const record = challengeRecord(domain.name, challenge)
    const answer = await lookUpTxt(record.name)
    if (!answer.known) {
      const { reason: trouble } = answer
      return { record, status: 'network_error', found: [], resolver: null, trouble }
    }
    const { records, resolver } = answer
    const status = judgeRecords(records, record)
    const found = records.slice(0, maxShownRecords).map(presentable)
    return { record, status, found, resolver, trouble: null }
  }

  /** `since`: from when on it is looked for. */
  async function check(domain: AccountDomain, actor: Actor, since: number): Promise<Verification> {
    const { id: domainId, proof } = domain
    const found = domain.state === 'pending' && proof !== null ? await look(domain, proof) : null
    const at = clock.now()
    if (found !== null && found.status !== 'pass') {
      const noted = await registry.noteDomainCheck(domainId, {
        status: found.status,
        checkedAt: at,
        since,
        nextCheckAt: nextCheckAt(since, at, firstCheckMs),
      })
      // Else it is verified meanwhile, or gone.
      if (noted !== undefined) {
        return { outcome: { done: true, value: noted, receipt: null }, check: found }
      }
    }
    // Without its challenge a pending one stays so; of a verified one nothing is changed, and it is confirmed once more.
    const challenge = found?.status === 'pass' ? (proof?.challenge ?? '') : ''
    const verifying = registry.verifyDomain({ domainId, challenge, actor, at })
    return { outcome: await confirmed(confirm, verifying), check: found }
  }

  return {
    /** Looks at the record because somebody asks: who does has just set it, so that it is soon looked at again. */
    onRequest: (domain: AccountDomain, actor: Actor) => check(domain, actor, clock.now()),

    /** Looks at the record of a domain whose turn it is. */
    byItself: (domain: AccountDomain, actor: Actor) =>
      check(domain, actor, domain.proof?.since ?? clock.now()),

    /** The operator knows whose it is: the DNS is not asked. */
    byWord: (domainId: number, actor: Actor): Promise<Outcome<AccountDomain>> =>
      confirmed(confirm, registry.verifyDomain({ domainId, actor, at: clock.now() })),
  }
}

/** Anybody can write anything into the DNS, and it is shown on terminals. */
function presentable(text: string): string {
  return text.slice(0, maxShownLength).replace(/[^\x20-\x7e]/g, '?')
}
