import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCommandLine, settingsIn } from '../helpers/command-line.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

/** Which gate a command speaks to, and with which token. Nothing listens at this address. */
const nowhere = 'http://127.0.0.1:1'

let place: Workplace
let tokenFile: string

beforeAll(() => {
  place = createWorkplace()
  tokenFile = join(place.folder, 'token')
  writeFileSync(tokenFile, 'from-file\n')
})
afterAll(() => place.remove())

describe('a wrong call is exit status 2, with a sentence', () => {
  test.each<[string, Record<string, string>, string]>([
    ['account list', { POSTERN_URL: nowhere }, 'the management API wants a token'],
    [`account list --url ${nowhere}`, {}, '--token-file FILE'],
    ['account list --token x', {}, 'POSTERN_TOKEN is for the management API of a gate'],
    ['account list --ca x.pem', {}, 'POSTERN_CA is for the management API of a gate'],
    ['account list --url gate', {}, 'POSTERN_URL must be a URL'],
    ['account list --url http://me:pw@gate/ --token x', {}, 'no user'],
    ['account list --url ftp://gate --token x', {}, 'POSTERN_URL must be a URL'],
    [`account list --url ${nowhere} --token x --token-file y`, {}, 'either POSTERN_TOKEN or'],
    [`account list --url ${nowhere} --token x --timeout 0`, {}, 'POSTERN_TIMEOUT must be'],
    [`account list --url ${nowhere} --token x --as me`, {}, 'leave out --as'],
    [
      `account list --url ${nowhere} --token x --database-url sqlite:x`,
      {},
      '--database-url is a setting of a gate',
    ],
    [`migrate --url ${nowhere} --token x`, {}, 'only where the database of the gate is'],
    ['keys rotate', { POSTERN_URL: nowhere, POSTERN_TOKEN: 'x' }, '--url none'],
    [`account create A --url ${nowhere} --token x`, {}, 'only where the database of the gate is'],
    [`explain --token x --from a.test --url ${nowhere}`, {}, 'the management API wants a token'],
    [`explain --token - --from a.test --url ${nowhere} --token-file -`, {}, 'two are to come'],
    [`serve --url ${nowhere}`, {}, 'there is no option "--url"'],
  ])('postern %s', async (line, environment, sentence) => {
    const postern = createCommandLine(environment, { input: 'x' })
    const { status, stdout, stderr } = await postern(...line.split(' '))
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(sentence)
  })
})

test('a token with a line in it is refused before it goes anywhere, and not shown', async () => {
  const postern = createCommandLine({ POSTERN_URL: nowhere }, { input: 'one\ntwo' })
  const { status, stderr } = await postern('account', 'list', '--token-file', '-')
  expect(status).toBe(2)
  expect(stderr).toContain('POSTERN_TOKEN_FILE must hold one token')
  expect(stderr).not.toContain('two')
})

test('a file of a token that is not there is said by name', async () => {
  const postern = createCommandLine({ POSTERN_URL: nowhere, POSTERN_TOKEN_FILE: '/nowhere/token' })
  const { status, stderr } = await postern('account', 'list')
  expect(status).toBe(1)
  expect(stderr).toContain('POSTERN_TOKEN_FILE cannot be used')
})

test('--url none is the store of this machine, whatever the environment says', async () => {
  const settings = { ...settingsIn(place.folder), POSTERN_URL: nowhere, POSTERN_TOKEN: 'x' }
  const postern = createCommandLine(settings)
  expect(await postern('account', 'list', '--url', 'none', '--json')).toMatchObject({
    status: 0,
    stdout: '[]\n',
  })
  expect((await postern('account', 'list')).stderr).toContain('could not reach')
})

test('the real program takes the address and the token from its environment, its flags and the file of --config', async () => {
  place.environment.POSTERN_TOKEN_FILE = tokenFile
  const byFlag = await place.postern('account', 'list', '--url', nowhere)
  writeFileSync(join(place.folder, 'settings'), `POSTERN_URL=${nowhere}\n`)
  const byFile = await place.postern('account', 'list', '--config', 'settings')
  for (const { status, stderr } of [byFlag, byFile]) {
    expect(status).toBe(1)
    expect(stderr).toMatch(/^postern: could not reach http:\/\/127.0.0.1:1: .*\n$/)
  }
})
