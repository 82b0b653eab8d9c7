import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { readBody } from '../../middleware/body.ts'
import { turns } from '../../src/turns.ts'

function read(pieces: Iterable<Buffer>, onChunk = (_chunk: Buffer) => true) {
  const incoming = Object.assign(Readable.from(pieces), { headers: {} })
  return readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, {
    limit: 50_000_000,
    onChunk,
  })
}

function* piecesOf(bytes: Buffer, length: number) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

test.each([1, 7, 4_095, 4_096, 65_536])(
  'a body in pieces of %i bytes is kept whole, and in few pieces',
  async (length) => {
    const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251))
    const body = await read(piecesOf(bytes, length))
    if (body.state !== 'complete') throw new Error(body.state)
    expect(Buffer.concat(body.chunks).equals(bytes)).toBe(true)
    expect(body.chunks.length).toBeLessThanOrEqual(Math.ceil(bytes.length / 1_024))
  },
)

test('small and large pieces keep their order', async () => {
  const pieces = [3, 5_000, 1, 1, 70_000, 4_096, 2].map((length, i) => Buffer.alloc(length, i))
  const body = await read(pieces)
  if (body.state !== 'complete') throw new Error(body.state)
  expect(Buffer.concat(body.chunks).equals(Buffer.concat(pieces))).toBe(true)
})

test.each([
  [1, 5_000],
  [65_536, 200],
])(
  'everybody else has a turn while a body arrives in pieces of %i bytes',
  async (length, count) => {
    let sinceTurn = 0
    let most = 0
    let turns = 0
    let reading = true
    function turn() {
      if (sinceTurn > 0) turns++
      sinceTurn = 0
      if (reading) setImmediate(turn)
    }
    turn()
    await read(piecesOf(Buffer.alloc(length * count), length), () => {
      sinceTurn += length + 512
      most = Math.max(most, sinceTurn)
      return true
    })
    reading = false
    expect(most).toBeLessThan(3 * 524_288)
    expect(turns).toBeGreaterThan(2)
  },
)

test('a body that is all there waits for nobody', async () => {
  while (turns.spend(65_536)) {}
  let isNextTurn = false
  turns.wait(() => {
    isNextTurn = true
  })
  const incoming = Object.assign(new PassThrough(), { headers: { 'content-length': '2' } })
  const reading = readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, {
    limit: 10,
  })
  process.nextTick(() => incoming.end('{}'))
  const body = await reading
  expect(body.state).toBe('complete')
  expect(isNextTurn).toBe(false)
})

describe('a body that is there with its header section', () => {
  function readThere(pieces: string[], reading: Partial<Parameters<typeof readBody>[2]> = {}) {
    const headers = { 'content-length': String(pieces.join('').length) }
    const incoming = Object.assign(new PassThrough(), { headers })
    for (const piece of pieces) incoming.write(piece)
    return readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, {
      limit: 10,
      ...reading,
    })
  }

  test('is read at once, and costs no timer', () => {
    const watching = vi.spyOn(globalThis, 'setTimeout')
    onTestFinished(() => watching.mockRestore())
    const seen: string[] = []
    const onChunk = (chunk: Buffer) => seen.push(String(chunk)) > 0
    expect(readThere(['{}'], { onChunk })).toEqual({
      state: 'complete',
      chunks: [Buffer.from('{}')],
    })
    expect(seen).toEqual(['{}'])
    expect(readThere([])).toEqual({ state: 'complete', chunks: [] })
    expect(watching).not.toHaveBeenCalled()
  })

  test.each([
    ['too-large', { limit: 1 }],
    ['no-room', { take: () => false }],
    ['stopped', { onChunk: () => false }],
  ])('may be %s all the same', (state, reading) => {
    expect(readThere(['{}'], reading)).toEqual({ state })
  })

  test('is read whole also where it came in pieces while something else was waited for', () => {
    let taken = 0
    function take(bytes: number) {
      taken += bytes
      return true
    }
    expect(readThere(['{', '"a":', '1}'], { take })).toEqual({
      state: 'complete',
      chunks: [Buffer.from('{"a":1}')],
    })
    expect(taken).toBe(7)
  })

  test('counts like any other for the turn of the event loop', () => {
    const spent = vi.spyOn(turns, 'spend')
    onTestFinished(() => spent.mockRestore())
    void readThere(['{}'])
    expect(spent).toHaveBeenCalledWith(2)
  })
})

describe('a body that comes slowly', () => {
  afterEach(() => void vi.useRealTimers())

  function stage() {
    vi.useFakeTimers()
    const incoming = Object.assign(new PassThrough(), { headers: {} })
    const reading = readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, {
      limit: 1_000_000,
    })
    return { incoming, reading }
  }

  test('a byte at a time is given up, however many there are', async () => {
    const { incoming, reading } = stage()
    const trickle = setInterval(() => incoming.write('x'), 1_000)
    await vi.advanceTimersByTimeAsync(21_000)
    expect(await reading).toEqual({ state: 'too-slow' })
    clearInterval(trickle)
  })

  test('at the rate of a slow line is read to its end', async () => {
    const { incoming, reading } = stage()
    for (let second = 0; second < 200; second++) {
      incoming.write(Buffer.alloc(600))
      await vi.advanceTimersByTimeAsync(1_000)
    }
    incoming.end()
    await vi.advanceTimersByTimeAsync(1)
    expect(await reading).toMatchObject({ state: 'complete' })
  })
})

test('a body whose client is already gone is aborted, and one that was read already cannot be read', async () => {
  const gone = Object.assign(new PassThrough(), { headers: {}, complete: true })
  gone.end('x')
  gone.destroy()
  const spent = Object.assign(Readable.from(['x']), { headers: {}, complete: true })
  await spent.toArray()
  for (const [incoming, state] of [
    [gone, 'aborted'],
    [spent, 'stopped'],
  ] as const) {
    const reading = readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, {
      limit: 10,
    })
    expect(await reading).toEqual({ state })
  }
})

test('a body for which there is no memory is given up at once', async () => {
  let left = 10
  const incoming = Object.assign(Readable.from([Buffer.alloc(8), Buffer.alloc(8)]), { headers: {} })
  const body = await readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, {
    limit: 100,
    take(bytes) {
      left -= bytes
      return left >= 0
    },
  })
  expect(body).toEqual({ state: 'no-room' })
})
