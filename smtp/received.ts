/** What the gate adds to the top of a message (RFC 5321 §4.4, RFC 3848 for `with`). */
export interface TraceFacts {
  /** What the client called itself: anything. */
  readonly heloName: string
  readonly remoteAddress: string
  readonly hostname: string
  /** `ESMTPSA`, `ESMTPA`, … */
  readonly transmissionType: string
  readonly id: string
  readonly at: number
}

export function receivedField(facts: TraceFacts): string {
  const { remoteAddress, hostname, transmissionType, id, at } = facts
  const literal = remoteAddress.includes(':') ? `[IPv6:${remoteAddress}]` : `[${remoteAddress}]`
  const heloName = /^[A-Za-z0-9.:[\]_-]{1,255}$/.test(facts.heloName) ? facts.heloName : 'unknown'
  return (
    `Received: from ${heloName} (${literal})\r\n` +
    ` by ${hostname} (Postern) with ${transmissionType}\r\n` +
    ` id ${id}; ${dateTime(at)}\r\n`
  )
}

let lastSecond = { second: Number.NaN, dateTime: '' }

/** RFC 5322 §3.3 date-time, in UTC. Hundreds of messages share one. */
function dateTime(at: number): string {
  const second = Math.floor(at / 1000)
  if (second !== lastSecond.second) {
    lastSecond = { second, dateTime: new Date(at).toUTCString().replace('GMT', '+0000') }
  }
  return lastSecond.dateTime
}

/** RFC 5322 §2.1.1 allows 998 characters in a line; a long value goes on after a fold, which its reader takes out. */
const maxPartLength = 900

export function headerField(name: string, value: string): string {
  let lines = value.slice(0, maxPartLength)
  for (let at = maxPartLength; at < value.length; at += maxPartLength) {
    lines += `\r\n ${value.slice(at, at + maxPartLength)}`
  }
  return `${name}: ${lines}\r\n`
}
