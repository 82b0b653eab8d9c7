import { expect, test } from 'vitest'
import { expectOnly, expectSame, WrongAnswers } from '../../bench/load/counts.ts'
import { takeAnswer } from '../../bench/load/http-connection.ts'
import { smallestBodyBytes, writeHttpRequest } from '../../bench/load/http-request.ts'
import { bulkToken } from '../../bench/subjects/bulk-store.ts'
import { createZipf } from '../../bench/subjects/seeded.ts'

test('a fast refusal never counts as a fast acceptance', () => {
  expect(expectOnly(200, { 200: 7 }, 'x')).toBe(7)
  for (const counts of [{ 200: 7_000, 401: 1 }, { 401: 7 }, { 200: 7, 0: 1 }, {}]) {
    expect(() => expectOnly(200, counts, 'x')).toThrow(WrongAnswers)
  }
})

test('what was accepted and never arrived fails a run, and so does what arrived twice', () => {
  expect(() => expectSame(7, 7, 'x')).not.toThrow()
  expect(() => expectSame(7, 6, 'x')).toThrow(WrongAnswers)
  expect(() => expectSame(7, 8, 'x')).toThrow(WrongAnswers)
})

test('the loader reads one answer at a time, whatever says where it ends', () => {
  const fixed = 'HTTP/1.1 200 OK\r\nX: 1\r\ncontent-length: 3\r\n\r\nabc'
  const chunked =
    'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
  const empty = 'HTTP/1.1 204 No Content\r\n\r\n'
  for (const [text, status] of [
    [fixed, 200],
    [chunked, 403],
    [empty, 204],
  ] as const) {
    expect(takeAnswer(`${text}HTTP/1.1 500`)).toEqual({ status, length: text.length })
    expect(takeAnswer(text.slice(0, -1))).toBeUndefined()
  }
  expect(takeAnswer('SSH-2.0-x\r\n\r\n')?.status).toBe(0)
})

test('a request has exactly the body that was asked for, and it is JSON', () => {
  for (const bodyBytes of [smallestBodyBytes, 1_024, 100_001]) {
    const request = writeHttpRequest({ token: 't', fromDomain: 'a.example', bodyBytes }).toString()
    const body = request.slice(request.indexOf('\r\n\r\n') + 4)
    expect(body.length).toBe(bodyBytes)
    expect(JSON.parse(body).from.email).toBe('hello@a.example')
    expect(request).toContain(`Content-Length: ${bodyBytes}\r\n`)
  }
})

test('every number has a token of its own, the same in each run', () => {
  const tokens = Array.from({ length: 20_000 }, (_, i) => bulkToken(i))
  expect(new Set(tokens).size).toBe(20_000)
  expect(bulkToken(4_711)).toBe(tokens[4_711])
  expect(bulkToken(202_204)).not.toBe(bulkToken(261_783))
})

test('few tokens are used often, most hardly ever, and none beyond the last', () => {
  const count = 10_000
  const next = createZipf(count, 1)
  const uses = new Array<number>(count + 1).fill(0)
  for (let i = 0; i < 100_000; i++) {
    const rank = next()
    uses[rank] = (uses[rank] ?? 0) + 1
  }
  const share = (from: number, to: number) =>
    uses.slice(from, to).reduce((sum, each) => sum + each, 0) / 100_000
  expect(uses[count]).toBe(0)
  expect(share(0, count)).toBe(1)
  // ln(11) / ln(10,001) and ln(101) / ln(10,001).
  expect(share(0, 10)).toBeCloseTo(0.26, 1)
  expect(share(0, 100)).toBeCloseTo(0.5, 1)
})
