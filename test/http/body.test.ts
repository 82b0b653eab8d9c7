import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { readBody } from '../../middleware/body.ts'

function read(pieces: Iterable<Buffer>, onChunk = (_chunk: Buffer) => true) {
  const incoming = Object.assign(Readable.from(pieces), { headers: {} })
  return readBody(incoming as unknown as IncomingMessage, {} as ServerResponse, 50_000_000, onChunk)
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

test.each([1, 65_536])(
  'everybody else has a turn while a body arrives in pieces of %i bytes',
  async (length) => {
    let sinceTurn = 0
    let most = 0
    let reading = true
    function turn() {
      sinceTurn = 0
      if (reading) setImmediate(turn)
    }
    turn()
    await read(piecesOf(Buffer.alloc(length * 700), length), () => {
      sinceTurn += length + 64
      most = Math.max(most, sinceTurn)
      return true
    })
    reading = false
    expect(most).toBeLessThan(3 * 65_536)
  },
)
