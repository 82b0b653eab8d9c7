import { globSync } from 'node:fs'
import { basename } from 'node:path'
import { beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { type Case, readCases } from './case-file.ts'
import { type ConformanceGates, startConformanceGates } from './gate.ts'
import { runHttpCase } from './http-case.ts'
import { runSmtpCase } from './smtp-case.ts'

/** Every case of every corpus against a whole gate. README.md describes the files. */

const corpora = globSync(`${import.meta.dirname}/corpus/*.txt`).sort()
/** Names are known before the gate runs; what they stand for only then. */
const listed = { token: 'x', foreign: 'x' }

let gates: ConformanceGates
beforeAll(async () => {
  gates = await startConformanceGates()
  return gates.close
})

describe.each(corpora.map((file) => [basename(file, '.txt'), file]))('%s', (_name, file) => {
  const cases = readCases(file, listed)
  let real: Case[] | undefined

  test('no two cases have the same name', () => {
    const names = cases.map(({ name }) => name)
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
  })

  test.each(cases.map(({ name }, i) => [name, i] as const))('%s', async (_caseName, i) => {
    real ??= readCases(file, gates.names)
    const one = real[i]
    if (one === undefined) throw new Error('a case is missing')
    onTestFailed(() => console.error(`source: ${one.source}`))
    const run = one.form === 'json' || one.form === 'http' ? runHttpCase : runSmtpCase
    await run(one, gates[one.gate], gates.names)
  })
})

test('the corpora are all there', () => {
  expect(corpora).toHaveLength(6)
  for (const file of corpora) expect(readCases(file, listed).length).toBeGreaterThan(100)
})

test('neither gate failed at any of it', () => {
  for (const { program } of [gates.usual, gates.strict]) {
    expect(program.process.exitCode).toBeNull()
    const lines = program.output().split('\n')
    expect(lines.filter((line) => /"level":"error"|"event":"upstream_failed"/.test(line))).toEqual(
      [],
    )
  }
})

test('no token was written to a log', () => {
  expect(gates.usual.program.output()).toContain('"event":"decision"')
  for (const { program } of [gates.usual, gates.strict]) {
    expect(program.output()).not.toContain(gates.names.token)
    expect(program.output()).not.toContain(gates.names.foreign)
  }
})
