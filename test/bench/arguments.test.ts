import { expect, test } from 'vitest'
import { parseArguments, usage } from '../../bench/arguments.ts'
import { workloads } from '../../bench/workloads/index.ts'

const known = ['check', 'http', 'smtp']

test('without a name everything is run, in the order of the report', () => {
  expect(parseArguments([], known)).toMatchObject({ workloads: known, plan: 'full', subjects: [] })
  expect(parseArguments(['smtp', 'check', '--quick'], known)).toMatchObject({
    workloads: ['check', 'smtp'],
    plan: 'quick',
  })
})

test('what is only run on request is run when it is named', () => {
  expect(parseArguments([], known, ['check']).workloads).toEqual(['check'])
  expect(parseArguments(['smtp'], known, ['check']).workloads).toEqual(['smtp'])
})

test('the usage names every workload', () => {
  for (const { name } of workloads) expect(usage).toMatch(new RegExp(`\\b${name}\\b`))
})

test('what is not there is named, with what is', () => {
  expect(() => parseArguments(['htpp'], known)).toThrow(
    'no workload is called htpp; there are check, http, smtp',
  )
  for (const rounds of ['0', '1.5', 'x', '51']) {
    expect(() => parseArguments(['--rounds', rounds], known)).toThrow('--rounds is a whole number')
  }
  expect(() => parseArguments(['--fast'], known)).toThrow()
})
