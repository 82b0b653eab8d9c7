import { describe, expect, test } from 'vitest'
import {
  createImportTokens,
  type ImportLine,
  type LineOutcome,
} from '../../src/service/import-tokens.ts'
import type { ImportOutcome, TokenToImport } from '../../src/service/ports/imports.ts'

/** How an import is divided, and when nodes are told of it. */

const actor = { name: 'Test', origin: 'test' }
const receipt = {
  epoch: 7,
  propagation: 'confirmed',
  confirmed: 1,
  fenced: 0,
  waitingFor: [],
  ms: 1,
} as const

function line(number: number, bearerToken: string | null = null, domains = 1): ImportLine {
  const grants = Array.from({ length: domains }, (_, i) => ({
    domain: `d${i}.test`,
    level: 'admin' as const,
  }))
  const times = { expiresAt: null, createdAt: null }
  const digest = `digest ${number}`
  return {
    line: number,
    credential: { name: 'x', digest, lastFour: '', bearerToken, grants, ...times },
  }
}

async function* from(lines: Iterable<ImportLine>) {
  yield* lines
}

interface Call {
  readonly trial: boolean
  readonly tokens: readonly TokenToImport[]
}

function importer({
  tookMs = (rows: number) => Math.min(rows, 10),
  known = new Set<number>(),
  seals = true,
} = {}) {
  const calls: Call[] = []
  const waits: number[] = []
  const told: LineOutcome[] = []
  let announced = 0
  let now = 0
  const importTokens = createImportTokens({
    registry: {
      async importTokens({ tokens, trial }) {
        calls.push({ tokens, trial })
        if (!trial) now += tookMs(tokens.length)
        const value = tokens.map(
          ({ line }): ImportOutcome => ({
            status: known.has(line) ? 'already-there' : 'imported',
            tokenId: line,
          }),
        )
        return { done: true, value, epoch: null }
      },
      async announceImport() {
        announced += 1
        return 7
      },
    },
    seal: seals ? async (bearerToken) => `sealed ${bearerToken}` : undefined,
    confirm: async () => receipt,
    clock: { now: () => now, monotonic: () => now },
    wait: async (ms) => {
      waits.push(ms)
    },
  })
  async function run(lines: AsyncIterable<ImportLine>, more = {}) {
    return importTokens({
      accountId: 1,
      source: 'x',
      trial: false,
      actor,
      interrupted: new AbortController().signal,
      lines,
      async onOutcomes(outcomes) {
        told.push(...outcomes)
      },
      ...more,
    })
  }
  return { run, calls, waits, told, announced: () => announced }
}

const many = (count: number) => Array.from({ length: count }, (_, i) => line(i + 1))
const sizes = ({ calls }: { calls: readonly Call[] }) => calls.map(({ tokens }) => tokens.length)

test('transactions grow while they are quick, and are followed by a pause as long as they took', async () => {
  const one = importer()
  await one.run(from(many(5_000)))
  expect(sizes(one)).toEqual([200, 400, 800, 1_000, 1_000, 1_000, 600])
  expect(new Set(one.waits)).toEqual(new Set([10]))
})

test('transactions take as long as they may, and never less than some hundred tokens', async () => {
  const one = importer({ tookMs: (rows) => rows / 8 })
  await one.run(from(many(1_400)))
  expect(sizes(one)).toEqual([200, 400, 400, 400])
  const slow = importer({ tookMs: () => 10_000 })
  await slow.run(from(many(1_000)))
  expect(sizes(slow)).toEqual([200, 200, 200, 200, 200])
})

test('permissions count too', async () => {
  const one = importer()
  await one.run(from([line(1, null, 5_000), line(2), line(3)]))
  expect(sizes(one)).toEqual([1, 2])
})

test('nodes are told once, at the end, and the answer has the receipt', async () => {
  const one = importer()
  expect(await one.run(from(many(3_000)))).toEqual({ done: true, value: null, receipt })
  expect(one.announced()).toBe(1)
})

test('nodes are told also when all was there: an import before may have died before it told them', async () => {
  const one = importer({ known: new Set([1, 2]) })
  expect(await one.run(from(many(2)))).toMatchObject({ receipt })
  expect(one.announced()).toBe(1)
})

test.each([
  ['nothing could be read', [{ line: 1, problem: 'bad' }], false],
  ['it is only tried', many(2), true],
])('nodes are told nothing when %s', async (_, lines, trial) => {
  const one = importer()
  expect(await one.run(from(lines), { trial })).toMatchObject({ receipt: null })
  expect(one.announced()).toBe(0)
})

test('what became of each line is told in the order of the file', async () => {
  const one = importer({ known: new Set([3]) })
  await one.run(from([line(1), { line: 2, problem: 'bad' }, line(3)]))
  expect(one.told).toEqual([
    { line: 1, status: 'imported', tokenId: 1 },
    { line: 2, status: 'unreadable', problem: 'bad' },
    { line: 3, status: 'already-there', tokenId: 3 },
  ])
})

describe('a secret in the clear', () => {
  const given = [line(1, 'one'), line(2), line(3, 'three')]

  test('is sealed before the transaction, unless it is there already, and goes no further itself', async () => {
    const one = importer({ known: new Set([3]) })
    await one.run(from(given))
    expect(one.calls.map(({ trial }) => trial)).toEqual([true, false])
    expect(one.calls[1]?.tokens.map(({ sealed }) => sealed)).toEqual(['sealed one', null, null])
    expect(
      one.calls.flatMap(({ tokens }) => tokens.filter((token) => 'bearerToken' in token)),
    ).toEqual([])
  })

  test('is not kept at all where no copies are', async () => {
    const one = importer({ seals: false })
    await one.run(from(given))
    expect(one.calls).toMatchObject([{ trial: false, tokens: Array(3).fill({ sealed: null }) }])
  })
})

test('an interruption finishes what was read, tells the nodes, and reads no more', async () => {
  const interrupted = new AbortController()
  async function* lines() {
    yield* many(250)
    interrupted.abort()
    throw new Error('the input was closed')
  }
  const one = importer()
  const ended = await one.run(lines(), { interrupted: interrupted.signal })
  expect(ended).toMatchObject({ done: true, receipt })
  expect(one.told).toHaveLength(250)
})

test('a transaction that fails is a fault, also after an interruption', async () => {
  const interrupted = new AbortController()
  const one = importer({
    tookMs: () => {
      interrupted.abort()
      throw new Error('the database is gone')
    },
  })
  const running = one.run(from(many(300)), { interrupted: interrupted.signal })
  await expect(running).rejects.toThrow('the database is gone')
  expect(one.announced()).toBe(0)
})

test('an input that breaks by itself is a fault', async () => {
  async function* lines() {
    yield line(1)
    throw new Error('EIO')
  }
  const one = importer()
  await expect(one.run(lines())).rejects.toThrow('EIO')
  expect(one.announced()).toBe(0)
})
