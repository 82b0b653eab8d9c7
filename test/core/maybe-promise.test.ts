import { expect, test } from 'vitest'
import { andThen, settle } from '../../src/core/maybe-promise.ts'

test('what is there is concluded in the same turn', () => {
  expect(andThen(1, (value) => value + 1)).toBe(2)
  const fail = () => 'failed'
  expect(settle(() => 1, String, fail)).toBe('1')
})

test('what is not there yet is concluded when it is', async () => {
  const fail = () => 'failed'
  expect(await andThen(Promise.resolve(1), (value) => value + 1)).toBe(2)
  expect(await settle(async () => 1, String, fail)).toBe('1')
})

test('a promise of another library is one too', async () => {
  // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
  const foreign = { then: (conclude: (value: number) => unknown) => conclude(1) } as Promise<number>
  expect(await andThen(foreign, (value) => value + 1)).toBe(2)
  expect(
    await settle(
      () => foreign,
      String,
      () => 'failed',
    ),
  ).toBe('1')
})

test('what asking throws, or rejects with, is answered', async () => {
  const fault = new Error('out of order')
  const fail = (thrown: unknown) => thrown
  function ask(): string {
    throw fault
  }
  expect(settle(ask, String, fail)).toBe(fault)
  expect(await settle(async () => ask(), String, fail)).toBe(fault)
})

test('what concluding throws is not taken for what asking has', async () => {
  const conclude = () => {
    throw new Error('concluded')
  }
  const fail = () => 'failed'
  expect(() => settle(() => 1, conclude, fail)).toThrow('concluded')
  await expect(settle(async () => 1, conclude, fail)).rejects.toThrow('concluded')
})
