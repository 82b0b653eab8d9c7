import { describe, expect, test } from 'vitest'
import { revocationKey } from '../../src/core/revocation-key.ts'
import { credentialSighting, domainSighting } from '../../src/core/sighting.ts'
import { createKnowledge } from '../../src/fleet/knowledge.ts'
import type { LogReading } from '../../src/service/ports/fleet.ts'

const credential = { tokenId: 1, accountId: 7, expiresAt: null, windowEndsAt: null, grants: [] }

/** What a node reads of a log whose entries are these lists of keys, from the first epoch on. */
function reading(log: readonly (readonly string[])[], more: Partial<LogReading> = {}): LogReading {
  return {
    era: 'one',
    epoch: log.length,
    completeFrom: 0,
    entries: log.map((keys, i) => ({ epoch: i + 1, keys })),
    renewal: 1,
    at: 0,
    ...more,
  }
}

function knowing(log: readonly (readonly string[])[], options = {}) {
  const knowledge = createKnowledge(options)
  expect(knowledge.apply(reading(log), undefined)).toBe('applied')
  return knowledge
}

const seenAt = (epoch: number, era = 'one') =>
  credentialSighting('digest', credential, { era, epoch })
const nothingAt = (epoch: number) => credentialSighting('digest', undefined, { era: 'one', epoch })

describe('what is believed', () => {
  test('a record from now, or from before with nothing said of it since', () => {
    const knowledge = knowing([['token:other'], ['token:another']])
    expect(knowledge.judge(seenAt(2))).toBe('believed')
    expect(knowledge.judge(seenAt(0))).toBe('believed')
  })

  test.each([
    ['its token', revocationKey.token('digest')],
    ['its account', revocationKey.account(7)],
    ['everything', revocationKey.all],
  ])('not a record from before a change of %s', (_what, key) => {
    const knowledge = knowing([['token:other'], [key]])
    expect(knowledge.judge(seenAt(1))).toBe('stale')
    expect(knowledge.judge(seenAt(2))).toBe('believed')
  })

  test('not that there is nothing, from before something was brought in', () => {
    const knowledge = knowing([[revocationKey.negatives]])
    expect(knowledge.judge(nothingAt(0))).toBe('stale')
    expect(knowledge.judge(nothingAt(1))).toBe('believed')
    expect(knowledge.judge(seenAt(0))).toBe('believed')
  })

  test('not a domain from before a change of its name, its id or its account', () => {
    const domain = { id: 3, accountId: 7, name: 'acme.test', state: 'verified' } as const
    for (const key of [
      revocationKey.name('acme.test'),
      revocationKey.domain(3),
      revocationKey.account(7),
    ]) {
      const knowledge = knowing([[key]])
      const moment = { era: 'one', epoch: 0 }
      expect(knowledge.judge(domainSighting('acme.test', domain, moment))).toBe('stale')
    }
    const knowledge = knowing([[revocationKey.domain(4), revocationKey.name('other.test')]])
    const sighting = domainSighting('acme.test', domain, { era: 'one', epoch: 0 })
    expect(knowledge.judge(sighting)).toBe('believed')
  })

  test('nothing of another era, and nothing from a moment that is yet to be caught up with', () => {
    const knowledge = knowing([['token:other']])
    expect(knowledge.judge(seenAt(1, 'two'))).toBe('stale')
    expect(knowledge.judge(seenAt(2))).toBe('ahead')
  })

  test('before the first reading nothing at all', () => {
    expect(createKnowledge().judge(seenAt(0))).toBe('stale')
  })

  test('a record that was found to hold is not asked about the same changes again', () => {
    const knowledge = knowing([['token:other']])
    const sighting = seenAt(0)
    expect(knowledge.judge(sighting)).toBe('believed')
    expect(sighting.epoch).toBe(1)
  })
})

describe('what is read of the log', () => {
  test('nothing is applied when an entry is missing, and the moment stays', () => {
    const knowledge = knowing([['a'], ['b']])
    const asked = knowledge.moment()
    const whole = reading([['a'], ['b'], ['c'], ['d']])
    const holed = { ...whole, entries: whole.entries.filter(({ epoch }) => epoch !== 3) }
    expect(knowledge.apply(holed, asked)).toBe('gap')
    expect(knowledge.moment()).toEqual({ era: 'one', epoch: 2 })
    expect(knowledge.apply(whole, asked)).toBe('applied')
    expect(knowledge.moment()).toEqual({ era: 'one', epoch: 4 })
  })

  test('a log that has gone backwards is not believed: an older database was restored', () => {
    const knowledge = knowing([['a'], ['b']])
    expect(knowledge.apply(reading([['a']]), knowledge.moment())).toBe('gap')
  })

  test('an older answer that comes later takes nothing back', () => {
    const knowledge = knowing([['a']])
    const asked = knowledge.moment()
    const older = reading([['a'], ['b']])
    expect(knowledge.apply(reading([['a'], ['b'], ['token:digest']]), asked)).toBe('applied')
    expect(knowledge.apply(older, asked)).toBe('applied')
    expect(knowledge.moment()).toEqual({ era: 'one', epoch: 3 })
    expect(knowledge.judge(seenAt(2))).toBe('stale')
  })

  test('where the log was pruned, what was read before the mark is read again', () => {
    const knowledge = createKnowledge()
    const pruned = reading([['a'], ['b'], ['c'], ['d']], { completeFrom: 3 })
    const rest = { ...pruned, entries: pruned.entries.filter(({ epoch }) => epoch > 2) }
    expect(knowledge.apply(rest, undefined)).toBe('applied')
    expect(knowledge.judge(seenAt(2))).toBe('stale')
    expect(knowledge.judge(seenAt(3))).toBe('believed')
  })

  test('pruning what this node has applied already costs nothing', () => {
    const knowledge = knowing([['a'], ['b'], ['c']])
    const later = reading([[], [], [], ['d']], { completeFrom: 2 })
    const rest = { ...later, entries: later.entries.filter(({ epoch }) => epoch > 3) }
    expect(knowledge.apply(rest, knowledge.moment())).toBe('applied')
    expect(knowledge.judge(seenAt(0))).toBe('believed')
  })

  test('beyond its bound it forgets which keys were named, and believes nothing from before', () => {
    const knowledge = knowing([['a'], ['b'], ['c']], { limit: 2 })
    expect(knowledge.judge(seenAt(2))).toBe('stale')
    expect(knowledge.judge(seenAt(3))).toBe('believed')
  })

  test('a new era forgets everything, also what is on its way from the old one', () => {
    const knowledge = knowing([['a'], ['token:digest']])
    const asked = knowledge.moment()
    const other = reading([['a']], { era: 'two' })
    expect(knowledge.apply(other, asked)).toBe('new-era')
    expect(knowledge.moment()).toEqual({ era: 'two', epoch: 0 })
    expect(knowledge.apply(reading([['a'], ['b'], ['c']]), asked)).toBe('new-era')
    expect(knowledge.moment()).toEqual({ era: 'two', epoch: 0 })
    expect(knowledge.apply(other, knowledge.moment())).toBe('applied')
    expect(knowledge.judge(seenAt(1, 'two'))).toBe('believed')
    expect(knowledge.judge(seenAt(1, 'one'))).toBe('stale')
  })
})
