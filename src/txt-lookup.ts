import { BADNAME, CANCELLED, NODATA, NOTFOUND, TIMEOUT } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import type { TxtLookup } from './service/ports/dns.ts'

/** For all servers together, when all are silent: a person waits for it, and so does the end of the process. */
const limitMs = 5_000
/** A server that is silent is asked twice, the second time for twice as long. */
const tries = 2

/** There is no such name, no such record, or there can be no such name: it has more than 255 octets. */
const absences: ReadonlySet<string> = new Set([NOTFOUND, NODATA, BADNAME])

/**
 * Asks the DNS for TXT records: the given resolvers, as `address:port`, or those of the system. What it does not know it
 * never takes for absent.
 */
export function createTxtLookup(servers?: readonly string[]): TxtLookup {
  return async function lookUpTxt(name) {
    const asked = servers ?? new Resolver().getServers()
    const troubles: string[] = []
    // One after the other: Node's resolver takes the failure of one server for the answer of all.
    for (const resolver of asked) {
      const answer = await ask(resolver, name, limitMs / asked.length)
      if (Array.isArray(answer)) return { known: true, records: answer, resolver }
      troubles.push(`${answer} from ${resolver}`)
    }
    return { known: false, reason: troubles.join(', ') }
  }
}

/** The records; or the code of what went wrong. */
async function ask(server: string, name: string, timeoutMs: number): Promise<string[] | string> {
  // One for each question: it keeps no answers.
  const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 3), tries })
  resolver.setServers([server])
  const limit = setTimeout(() => resolver.cancel(), timeoutMs)
  try {
    // Absolute: whatever domains this machine searches, they are not meant.
    const records = await resolver.resolveTxt(`${name}.`)
    // RFC 7208 §3.3: the strings of one record are one text, without anything between them.
    return records.map((strings) => strings.join(''))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (absences.has(code)) return []
    return code === CANCELLED ? TIMEOUT : code
  } finally {
    clearTimeout(limit)
  }
}
