import type { WorstPauses } from '../measure/pauses.ts'
import type { Crew } from '../processes/crew.ts'
import type { Fixture, Sender } from './fixture.ts'

/** What is measured beside others: Postern, a floor that does only what cannot be left out, or a peer. */
export interface Subject {
  readonly name: string
  readonly kind: 'floor' | 'postern' | 'peer'
  /** One sentence: what it is and does, for the report. */
  readonly about: string
  readonly checks: {
    readonly token: boolean
    /** `envelope`: that of MAIL alone, and not of the message. */
    readonly sender: boolean | 'envelope'
  }
  /** Why it cannot run here; undefined when it can. */
  missing?(): string | undefined
  version(): string
  start(setting: SubjectSetting): Promise<RunningSubject>
}

/** As `yes / envelope`: token and sender. */
export function describeChecks({ token, sender }: Subject['checks']): string {
  const said = (checks: boolean) => (checks ? 'yes' : 'no')
  return `${said(token)} / ${typeof sender === 'string' ? sender : said(sender)}`
}

export interface SubjectSetting {
  readonly crew: Crew
  readonly fixture: Fixture
  /** Ports of the upstreams on the loopback interface. */
  readonly httpUpstream: number
  readonly smtpUpstream: number
}

export interface RunningSubject {
  readonly port: number
  /** The processes whose CPU time is the subject's, with all below them. */
  readonly pids: readonly number[]
  /** How a sender is called at SMTP AUTH; `api` unless it says so. */
  userOf?(sender: Sender, index: number): string
  /** Messages taken since the last time, by a subject that does not hand them on. */
  takeDrained?(): Promise<number>
  /** Its event loop's worst pauses since the last time, where it can be asked. */
  takeWorstPauses?(): Promise<WorstPauses>
}
