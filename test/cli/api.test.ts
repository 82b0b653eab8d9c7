import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CommandLine, createCommandLine, settingsIn } from '../helpers/command-line.ts'
import {
  type CommandResult,
  createWorkplace,
  runProgram,
  type Workplace,
} from '../helpers/program.ts'

/**
 * Every command that the API has a counterpart of, twice: over the store of one gate, and over the API of another with the
 * same history. What a person or a program reads must be the same.
 */

const places: Workplace[] = []
let local: CommandLine
let remote: CommandLine
let url: string
let bossToken: string

/** An account with acme.test (domain 1, token 1), its admin Boss (token 2), and a gate that runs. */
async function startGate() {
  const place = createWorkplace()
  places.push(place)
  const settings = settingsIn(place.folder)
  const postern = createCommandLine(settings)
  await postern('account', 'create', 'Acme')
  await postern('domain', 'add', 'acme.test')
  const made = await postern(
    ...['token', 'create', '--name', 'Boss', '--account-level', 'admin', '--json'],
  )
  const { ready } = await place.start('dev', settings)
  return { settings, url: ready.admin, token: JSON.parse(made.stdout).token as string }
}

beforeAll(async () => {
  const [here, there] = await Promise.all([startGate(), startGate()])
  local = (...args) => createCommandLine(here.settings)(...args, '--as', 'Boss')
  url = there.url
  bossToken = there.token
  remote = createCommandLine({ POSTERN_URL: url, POSTERN_TOKEN: bossToken })
}, 60_000)
afterAll(() => Promise.all(places.map((place) => place.remove())))

/** What differs between two runs of the same: secrets, instants and measured times. */
function comparable(text: string): string {
  return (
    text
      .replaceAll(/pst_\w{36}/g, 'pst_…')
      .replaceAll(/\*{4}\w{4}/g, '****…')
      .replaceAll(/"last_4_digits":"\w{4}"/g, '"last_4_digits":"…"')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'AT')
      .replaceAll(/"ms":[\d.]+/g, '"ms":0')
      .replaceAll(/in [\d.]+ ms/g, 'in 0 ms')
      // Who asks is a person here, and a token there.
      .replaceAll(/"token_id":2,"origin":"127.0.0.1"/g, '"token_id":null,"origin":"cli"')
      .replaceAll(/ +127.0.0.1 +/g, '  cli  ')
      .replaceAll(/ {2,}/g, '  ')
  )
}

interface Refusal {
  readonly local: string
  readonly remote?: string
}

const lastToken: Refusal = {
  local: 'this would leave acme.test without a lasting token',
  remote: 'refused (403): This is the last lasting token of acme.test',
}
const notReset: Refusal = {
  local: 'no reset window of this token is running',
  remote: 'refused (422): No reset window of this token is running',
}

test.each<[string, number, Refusal?]>([
  ['account list', 0],
  ['account list --json', 0],
  ['domain list', 0],
  ['domain list --account 1 --json', 0],
  ['domain list --account 9', 1, { local: 'there is no such account' }],
  ['domain add new.test --json', 0],
  ['domain add Other.test.', 0],
  [
    'domain add acme.test',
    1,
    {
      local: 'acme.test belongs to an account already',
      remote: 'refused (422): Domain name has already been taken',
    },
  ],
  ['domain add no_domain', 2, { local: 'not a domain name' }],
  ['token create --name first --domain acme.test:admin --json', 0],
  ['token create --name second --domain new.test:viewer --expires 2028-01-01', 0],
  ['token create --name x --domain nowhere.test', 1, { local: 'there is no domain nowhere.test' }],
  ['token create --name x', 2, { local: 'no permissions' }],
  ['token list', 0],
  ['token list --json', 0],
  ['token list --search fir', 0],
  ['token list --search nothing', 0],
  ['token list --domain new.test --json', 0],
  ['token list --limit 2', 0],
  ['token list --limit 2 --after 2 --json', 0],
  ['token show 5 --json', 0],
  ['token show 99', 1, { local: 'there is no such token' }],
  ['token rename 5 renamed --json', 0],
  ['token rename 99 renamed', 1, { local: 'there is no such token' }],
  ['token permissions 6 --domain new.test:admin --domain acme.test --json', 0],
  ['token permissions 6 --account-level viewer', 0],
  ['token reset 5 --window 1h --json', 0],
  [
    'token reset 5',
    1,
    {
      local: 'this token was reset at',
      remote: 'refused (422): This token was reset at',
    },
  ],
  ['token reset 99', 1, { local: 'there is no such token' }],
  ['token reset 6 --window 12', 2, { local: 'is not a duration' }],
  [
    'token reset 6 --window 31d',
    1,
    { local: 'a reset window may last until', remote: 'refused (422): A reset window may last' },
  ],
  ['token show 5', 0],
  ['token window 5 2h --json', 0],
  ['token undo-reset 5 --json', 0],
  ['token undo-reset 5', 1, notReset],
  ['token window 5 2h', 1, notReset],
  ['token reset 6 --window 0 --expires never --json', 0],
  ['token reveal 99', 1, { local: 'there is no such token' }],
  ['token reveal 5', 0],
  ['token delete 5 --json', 0],
  ['token delete 5', 0],
  ['token delete 99', 1, { local: 'there is no such token' }],
  ['access list', 0],
  ['access list --domain acme.test --json', 0],
  ['token delete 7 --json', 0],
  ['token delete 1', 1, lastToken],
  ['domain remove new.test --json', 0],
  ['domain remove new.test', 1, { local: 'there is no domain new.test' }],
  ['domain remove 3', 0],
  ['explain --token-id 1 --from hello@acme.test --json', 0],
  ['explain --token-id 1 --from hello@new.test --protocol smtp', 0],
  ['explain --token-id 99 --from acme.test --json', 0],
  ['explain --token pst_wrong --from acme.test', 0],
  ['audit list --account 1 --json', 0],
  ['audit list --account 1 --limit 3', 0],
  ['audit list --account 1 --limit 3 --before 4 --json', 0],
])('postern %s', async (line, status, refusal) => {
  const args = line.split(' ')
  const [here, there] = await Promise.all([local(...args), remote(...args)])
  expect([here.status, there.status, here.stderr, there.stderr]).toEqual(
    refusal === undefined
      ? [status, status, '', '']
      : [
          status,
          status,
          expect.stringContaining(refusal.local),
          expect.stringContaining(refusal.remote ?? refusal.local),
        ],
  )
  expect(comparable(there.stdout)).toBe(comparable(here.stdout))
  expect(there.stdout !== '').toBe(status === 0)
})

test('the token of a domain that was added over the API, and a token made there, can be read once', async () => {
  const added = JSON.parse((await remote('domain', 'add', 'shown.test', '--json')).stdout)
  const asked = ['explain', '--token', added.token.token, '--from', 'a@shown.test', '--json']
  expect(JSON.parse((await remote(...asked)).stdout)).toMatchObject({
    allowed: true,
    token_id: added.token.id,
  })
})

test('a call with an idempotency key can be repeated over the API, and shows the same token', async () => {
  const create = () =>
    remote(
      ...['token', 'create', '--name', 'k', '--domain', 'acme.test', '--json'],
      ...['--idempotency-key', 'k1'],
    )
  const [first, second] = [await create(), await create()]
  expect(JSON.parse(first.stdout).token).toMatch(/^pst_/)
  expect(second).toEqual(first)
})

test('the real program takes the token from standard input, and ends when it has its answer', async () => {
  const args = [resolve('src/postern.js'), 'token', 'list', '--url', url, '--token-file', '-']
  const ended = await runProgram(process.execPath, args, { input: `${bossToken}\n` })
  expect(ended).toEqual(await remote('token', 'list'))
  expect(ended.status).toBe(0)
})

describe('the right of the token decides', () => {
  test('what it does not see is not there, and what it may not do is refused', async () => {
    const made = await remote(
      ...['token', 'create', '--name', 'weak', '--domain', 'acme.test:viewer', '--json'],
    )
    const { id, token } = JSON.parse(made.stdout)
    const weak = createCommandLine({ POSTERN_URL: url, POSTERN_TOKEN: token })
    const answers = async (...args: string[]): Promise<CommandResult> => weak(...args)
    expect(await answers('token', 'show', '2')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('there is no such token'),
    })
    for (const args of [
      ['audit', 'list'],
      ['domain', 'add', 'more.test'],
      ['token', 'delete', String(id)],
    ]) {
      expect(await answers(...args)).toMatchObject({
        status: 1,
        stdout: '',
        stderr: 'postern: refused (403): Access forbidden\n',
      })
    }
    await remote('token', 'delete', String(id))
    expect(await answers('token', 'list')).toMatchObject({
      status: 1,
      stderr: 'postern: refused (401): Incorrect API token\n',
    })
  })
})
