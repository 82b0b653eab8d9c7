import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createCommandLine, settingsIn } from '../helpers/command-line.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

/** The lines of docs/cli.md, one after the other, beside a running gate. */

const page = readFileSync('docs/cli.md', 'utf8')
const lines = [...page.matchAll(/^```\n((?:postern .*\n)+)```$/gm)].flatMap(([, block = '']) =>
  block.trimEnd().split('\n'),
)

let place: Workplace
let url: string
let tokenFile: string

beforeAll(async () => {
  place = createWorkplace()
  Object.assign(place.environment, settingsIn(place.folder), { POSTERN_ACCOUNT_DOMAINS: 'allow' })
  tokenFile = join(place.folder, 'boss.token')
  const gate = await place.start('serve', {
    POSTERN_UPSTREAM_HTTP: 'http://127.0.0.1:9',
    POSTERN_UPSTREAM_SMTP: 'smtp://127.0.0.1:9',
  })
  url = gate.ready.admin
}, 60_000)
afterAll(() => place.remove())

test('there are lines to run', () => {
  expect(lines.length).toBeGreaterThan(20)
})

test.each(lines)('%s', async (line) => {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)
  const args = words.slice(1).map((word = '') => {
    if (word === 'https://gate.internal:8081') return url
    return word === 'boss.token' ? tokenFile : word
  })
  const { status, stdout, stderr } = await createCommandLine(settingsIn(place.folder))(...args)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  if (line.includes('--name boss'))
    writeFileSync(tokenFile, stdout.trimEnd().split('\n').at(-1) ?? '')
})
