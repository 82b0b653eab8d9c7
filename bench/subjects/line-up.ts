import type { HttpUpstreamAgent } from '../load/http-upstream.ts'
import type { SmtpUpstreamAgent } from '../load/smtp-upstream.ts'
import type { Agent } from '../processes/agent.ts'
import type { Bench, Findings } from '../workload.ts'
import type { Fixture } from './fixture.ts'
import { describeChecks, type RunningSubject, type Subject } from './subject.ts'

/** A subject that is up, with what it was started from. */
export interface Contender extends RunningSubject {
  readonly name: string
  readonly subject: Subject
}

export interface LineUp {
  readonly contenders: readonly Contender[]
  readonly httpUpstream: Agent<HttpUpstreamAgent>
  readonly smtpUpstream: Agent<SmtpUpstreamAgent>
  /** Who is there and who is not, for the report. */
  readonly notes: Pick<Findings, 'subjects' | 'missing'>
}

/** Starts the upstreams, and every subject that was asked for and can be had. */
export async function lineUp(
  { crew, progress, isWanted }: Bench,
  fixture: Fixture,
  subjects: readonly Subject[],
): Promise<LineUp> {
  const httpUpstream = crew.agent<HttpUpstreamAgent>(
    new URL('../load/http-upstream.ts', import.meta.url),
  )
  const smtpUpstream = crew.agent<SmtpUpstreamAgent>(
    new URL('../load/smtp-upstream.ts', import.meta.url),
  )
  const setting = {
    crew,
    fixture,
    httpUpstream: await httpUpstream.call('listen', undefined),
    smtpUpstream: await smtpUpstream.call('listen', undefined),
  }
  const contenders: Contender[] = []
  const missing: { name: string; reason: string }[] = []
  for (const subject of subjects.filter(isWanted)) {
    const { name } = subject
    const reason = subject.missing?.()
    if (reason !== undefined) {
      missing.push({ name, reason })
      progress(`${name} is not here: ${reason}`)
      continue
    }
    progress(`starting ${name}`)
    contenders.push({ ...(await subject.start(setting)), name, subject })
  }
  return { contenders, httpUpstream, smtpUpstream, notes: describe(contenders, missing) }
}

function describe(contenders: readonly Contender[], missing: Findings['missing'] = []) {
  return {
    subjects: contenders.map(({ subject: { name, about, checks, version } }) => ({
      name,
      about,
      version: version(),
      checks: describeChecks(checks),
    })),
    missing,
  }
}
