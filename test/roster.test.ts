import { expect, test } from 'vitest'
import { createRoster } from '../src/roster.ts'

test('whoever has entered is there until it leaves, in whatever order', () => {
  const roster = createRoster<number>()
  const leave = [0, 1, 2, 3, 4].map((member) => roster.enter(member))
  for (const member of [1, 4, 0]) leave[member]?.()
  expect(roster.all().toSorted()).toEqual([2, 3])
  expect(roster.size()).toBe(2)
  roster.enter(5)
  for (const member of [2, 3]) leave[member]?.()
  expect(roster.all()).toEqual([5])
})

test('to leave twice takes nobody else away', () => {
  const roster = createRoster<string>()
  const leave = roster.enter('first')
  roster.enter('second')
  leave()
  leave()
  expect(roster.all()).toEqual(['second'])
})

test('one that entered twice is there until it has left twice', () => {
  const roster = createRoster<string>()
  const leave = roster.enter('one')
  const leaveAgain = roster.enter('one')
  leave()
  expect(roster.all()).toEqual(['one'])
  leaveAgain()
  expect(roster.size()).toBe(0)
})

test('members may leave while all of them are called', () => {
  const roster = createRoster<() => void>()
  const leave: (() => void)[] = []
  for (let i = 0; i < 10; i++) leave.push(roster.enter(() => leave[i]?.()))
  for (const go of roster.all()) go()
  expect(roster.size()).toBe(0)
})
