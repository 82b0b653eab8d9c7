import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const page = readFileSync('docs/threat-model.md', 'utf8')
const reference = /\[([^\]]+)\]\(\.\.\/(test\/[^)]+\.ts)\): \*([^*]+)\*/g

test('each claim of the threat model names a test that is there', () => {
  const named = [...page.matchAll(reference)].map(([, , file = '', name = '']) => ({ file, name }))
  expect(named.length).toBeGreaterThan(50)
  const missing = named.filter(({ file, name }) => {
    // As the first argument of what registers it, and of nothing that skips it.
    const registered = `(?<!skip|todo|fails)\\(\\s*(['"\`])${RegExp.escape(name)}\\1`
    return !existsSync(file) || !new RegExp(registered).test(readFileSync(file, 'utf8'))
  })
  expect(missing).toEqual([])
})

test('no claim of the threat model stands without a test', () => {
  const [protectedFrom = ''] = page.split('## What is not protected')
  const claims = protectedFrom
    .split('\n')
    .filter((line) => /^\|(?! ---)(?!.*held by \|$)/.test(line))
  expect(claims.length).toBeGreaterThan(40)
  expect(claims.filter((line) => line.match(reference) === null)).toEqual([])
})

test('each reference shows the file that it leads to', () => {
  for (const [, shown, file] of page.matchAll(reference)) {
    expect(file).toMatch(new RegExp(`^${RegExp.escape(shown ?? '')}(\\.test)?\\.ts$`))
  }
})
