import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type CommandLine, createCommandLine, settingsIn } from '../helpers/command-line.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

/** Listeners that collide with nothing. */
const anyPorts = ['http', 'smtp', 'admin'].flatMap((edge) => [`--${edge}-listen`, '127.0.0.1:0'])

let place: Workplace
let postern: CommandLine

beforeAll(async () => {
  place = createWorkplace()
  postern = createCommandLine(settingsIn(place.folder))
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
})
afterAll(() => place.remove())

describe('a wrong call is exit status 2, with a sentence, and changes nothing', () => {
  test.each([
    [['nonsense'], 'there is no command "nonsense"'],
    [['tokn', 'list'], 'there is no command "tokn": did you mean "token"?'],
    [['token', 'crate'], 'is no command: did you mean "create"?'],
    [['account', 'list', '--jsn'], 'there is no option "--jsn": did you mean "--json"?'],
    [['token'], 'is no command'],
    [['token', 'nonsense'], 'is no command'],
    [['token', 'create', '--nmae', 'x'], '"--nmae": did you mean "--name"?'],
    [['token', 'list', '--limit', '0'], '--limit must be a number'],
    [['explain', '--from', 'a.test', '--token', 'x', '--token-id', '1'], 'either --token'],
    [['token', 'create', '--domain', 'acme.test'], 'name'],
    [['token', 'create', '--name', 'x'], 'no permissions'],
    [['token', 'create', '--name', ' ', '--domain', 'acme.test'], "name can't be blank"],
    [['token', 'create', '--name', 'x', '--domain', 'acme.test:owner'], 'admin or viewer'],
    [['token', 'create', '--name', 'x', '--domain', 'acme.test', '--domain', 'ACME.test'], 'twice'],
    [['token', 'create', '--name', 'x', '--domain', 'a b'], 'not a domain name'],
    [
      ['token', 'create', '--name', 'x', '--domain', 'acme.test', '--expires', '2001-01-01'],
      'future',
    ],
    [
      ['token', 'create', '--name', 'x', '--domain', 'acme.test', '--expires', 'soon'],
      'not a date',
    ],
    [
      ['token', 'create', '--name', 'x', '--domain', 'acme.test', '--expires', '2099-02-30'],
      'not a date',
    ],
    [['token', 'reset', '1', '--expires', '2099-06-31T10:00:00Z'], 'not a date'],
    [['token', 'reset', '1', '--window', '12'], 'not a duration'],
    [['token', 'reset', 'x'], 'must be a number'],
    [['token', 'reset'], 'usage'],
    [['token', 'delete', '1', '2'], 'usage'],
    [['domain', 'add', 'no_domain'], 'not a domain name'],
    [['domain', 'add', '1.2.3.4'], 'not a domain name'],
    [['domain', 'add', 'acme.test', '--account', 'x'], 'must be a number'],
    [['account', 'create', 'x', '--as', 'a\u001b[2Jb'], '--as: name contains a control character'],
    [['account', 'create', 'x', '--as', ' '], "--as: name can't be blank"],
    [['explain', '--from', 'a@acme.test'], '--token'],
    [['account', 'list', '--database-url='], '--database-url needs a value'],
    [
      ['token', 'create', '--name', 'x', '--domain', 'acme.test', '--idempotency-key', 'a b'],
      'idempotency key',
    ],
    [['serve', 'now'], 'takes no "now"'],
  ])('postern %j', async (args, sentence) => {
    const { status, stdout, stderr } = await postern(...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(sentence)
  })
})

describe('a refused call is exit status 1, with a sentence that says what to do', () => {
  test.each([
    [['token', 'show', '999'], 'there is no such token'],
    [['token', 'delete', '999'], 'there is no such token'],
    [['token', 'reset', '999'], 'there is no such token'],
    [['token', 'reset', '1', '--window', '31d'], 'a reset window may last until'],
    [['domain', 'add', 'acme.test'], 'belongs to an account already'],
    [['domain', 'add', 'other.test', '--account', '99'], 'there is no such account'],
    [['domain', 'remove', 'nowhere.test'], 'there is no domain nowhere.test'],
    [['token', 'list', '--account', '99'], 'there is no such account'],
    [['domain', 'list', '--account', '99'], 'there is no such account'],
    [
      ['token', 'create', '--name', 'x', '--domain', 'nowhere.test'],
      'there is no domain nowhere.test',
    ],
    [['account', 'list', '--database-url', 'mysql://x'], 'POSTERN_DATABASE_URL must be'],
    [['account', 'list', '--config', '/nowhere'], '/nowhere'],
    [['domain', 'add', 'x.test', '--seal-key-file', '/'], 'POSTERN_SEAL_KEY_FILE cannot be used'],
    [
      ['account', 'list', '--upstream-smtp', 'smtp://a:100%@relay.test'],
      'POSTERN_UPSTREAM_SMTP must have each %',
    ],
  ])('postern %j', async (args, sentence) => {
    const { status, stdout, stderr } = await postern(...args)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain(sentence)
  })
})

const helped =
  /^ {2}((?:account|domain|token|access|audit|fleet|keys|completion) [a-z-]+|import|explain|migrate|doctor)/gm

test('every command has help that names its options, with examples that are understood', async () => {
  const own = createWorkplace()
  onTestFinished(own.remove)
  // One of them waits for a whole lease.
  const postern = createCommandLine({ ...settingsIn(own.folder), POSTERN_LEASE_MS: '1000' })
  await postern('account', 'create', 'Own')
  const { stdout } = await postern('--help')
  const names = [...stdout.matchAll(helped)].map(([, name = '']) => name)
  expect(names.length).toBeGreaterThan(20)
  for (const name of names) {
    const help = await postern(...name.split(' '), '--help')
    expect(help).toMatchObject({ status: 0, stderr: '' })
    expect(help.stdout).toContain(`Usage: postern ${name}`)
    expect(help.stdout).toContain('--json')
    const examples = /\nExamples:\n((?: {2}.*\n)+)/.exec(help.stdout)?.[1] ?? ''
    const lines = [...examples.matchAll(/^ {2}postern (.*?)(?: < .*)?$/gm)].map(([, line]) => line)
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) {
      const words = [...`${line}`.matchAll(/"([^"]*)"|(\S+)/g)].map(([, a, b]) => a ?? b ?? '')
      // It may be refused, as what it names is not here.
      const ended = await postern(...words)
      expect(ended.status, `${line}: ${ended.stderr}`).not.toBe(2)
    }
  }
}, 60_000)

test('serve names every problem of its settings at once, and starts nothing', async () => {
  const { status, stderr } = await place.postern(
    'serve',
    '--http-listen',
    'nowhere',
    '--reset-window-ms',
    '12h',
    '--tls-cert',
    'x.pem',
  )
  expect(status).toBe(1)
  for (const variable of [
    'POSTERN_HTTP_LISTEN',
    'POSTERN_RESET_WINDOW_MS',
    'POSTERN_TLS_CERT',
    'POSTERN_UPSTREAM_SMTP',
  ]) {
    expect(stderr).toContain(variable)
  }
})

test('serve names every file that it cannot use, with its setting', async () => {
  writeFileSync(join(place.folder, 'no.pem'), 'not a certificate')
  writeFileSync(join(place.folder, 'headers'), 'Authorization: Bearer secret\nsecret\n')
  const { status, stderr } = await place.postern(
    ...['serve', ...anyPorts],
    ...['--upstream-http', 'http://127.0.0.1:9', '--upstream-smtp', 'smtp://127.0.0.1:9'],
    ...['--tls-cert', '/nowhere/tls.crt', '--tls-key', '/nowhere/tls.key'],
    ...['--admin-tls-cert', 'no.pem', '--admin-tls-key', 'no.pem'],
    ...['--upstream-ca', 'no.pem', '--upstream-http-headers-file', 'headers'],
    ...['--database-url', 'postgres://127.0.0.1:9/x', '--seal-key-file', '/nowhere/seal.key'],
  )
  expect(status).toBe(1)
  for (const sentence of [
    'POSTERN_TLS_CERT and POSTERN_TLS_KEY cannot be used',
    'POSTERN_ADMIN_TLS_CERT and POSTERN_ADMIN_TLS_KEY cannot be used',
    'POSTERN_UPSTREAM_CA cannot be used',
    'POSTERN_UPSTREAM_HTTP_HEADERS_FILE cannot be used',
    'POSTERN_SEAL_KEY_FILE /nowhere/seal.key does not exist',
  ]) {
    expect(stderr).toContain(sentence)
  }
  expect(stderr).not.toContain('secret')
})

test('doctor says which file and which upstream is not as it should be', async () => {
  const { status, stdout } = await place.postern(
    ...['doctor', '--json', '--upstream-http', 'http://127.0.0.1:9'],
    ...['--upstream-smtp', 'smtp://[::1]:9', '--upstream-ca', '/nowhere/ca.pem'],
  )
  expect(status).toBe(1)
  const { ok, checks } = JSON.parse(stdout)
  expect(ok).toBe(false)
  expect(checks).toMatchObject([
    { name: 'files', ok: false, detail: expect.stringContaining('POSTERN_UPSTREAM_CA') },
    { name: 'Email API', ok: false, detail: expect.stringContaining('127.0.0.1:9 cannot') },
    { name: 'relay', ok: false },
    { name: 'journal mode', ok: true },
    { name: 'database file', ok: true },
    { name: 'revocation log', ok: true },
    { name: 'ended tokens', ok: true },
    { name: 'signing keys', ok: true },
  ])
})

test('a setting that is wrong is not said to be missing too', async () => {
  const { stderr } = await place.postern('serve', '--upstream-smtp', 'http://relay')
  expect(stderr.match(/POSTERN_UPSTREAM_SMTP/g)).toHaveLength(1)
})

test.each(['http', 'smtp', 'admin'])(
  'a taken port is said with the setting that moves it: %s',
  async (edge) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`
    const flags = [...anyPorts, `--${edge}-listen`, address]
    const { status, stderr } = await place.postern('dev', ...flags)
    taken.close()
    expect(status).toBe(1)
    expect(stderr).toContain(`POSTERN_${edge.toUpperCase()}_LISTEN cannot be used`)
    expect(stderr).toContain(address)
  },
)

test('a gate that cannot write its ready file says so, and does not stay behind', async () => {
  const readyFile = '/nowhere/ready.json'
  const { status, stderr } = await place.postern('dev', ...anyPorts, '--ready-file', readyFile)
  expect(status).toBe(1)
  expect(stderr).toContain('POSTERN_READY_FILE')
  expect(stderr).toContain(readyFile)
})

test('dev prints lines for where people reach the gate', async () => {
  const other = createWorkplace({
    POSTERN_PUBLIC_HTTP_URL: 'https://mail.acme.test/',
    POSTERN_PUBLIC_SMTP_URL: 'smtps://mail.acme.test:465',
  })
  try {
    const gate = await other.start('dev')
    await expect.poll(gate.output).toContain('curl https://mail.acme.test/api/send')
    await expect.poll(gate.output).toContain('curl smtps://mail.acme.test:465 --user')
  } finally {
    await other.remove()
  }
})

test.each([
  ['POSTERN_DATABASE_URL sqlite:./x.db'],
  ['POSTERN_LOG_LEVEL: debug'],
  ['DATABASE_URL=sqlite:./x.db'],
])('a file of settings with the line %j is refused by its number', async (line) => {
  const file = join(place.folder, 'bad-settings')
  writeFileSync(file, `# of the gate\n\n${line}\n`)
  const { status, stderr } = await place.postern('account', 'list', '--config', file)
  expect(status).toBe(1)
  expect(stderr).toContain('line 3 is not POSTERN_NAME=value')
  expect(stderr).not.toContain('x.db')
})

test('a list without anything in it is a problem of the settings', async () => {
  const { status, stderr } = await place.postern('serve', '--smtp-usernames', ',')
  expect(status).toBe(1)
  expect(stderr).toContain('POSTERN_SMTP_USERNAMES must name at least one')
})

test.each(['mail.bücher.example', 'mail example', '[192.0.2.1', 'mail.example.'])(
  'the name %j is none that an SMTP server could call itself',
  async (name) => {
    const { status, stderr } = await place.postern('serve', '--hostname', name)
    expect(status).toBe(1)
    expect(stderr).toContain('POSTERN_HOSTNAME must be a host name in ASCII')
  },
)

test('a database that a newer version has migrated is left alone', async () => {
  const other = createWorkplace()
  try {
    await other.json('account', 'create', 'A')
    const database = new DatabaseSync(join(other.folder, 'data/postern.db'))
    database.exec("insert into kysely_migration values ('9999-future', '2099-01-01')")
    database.close()
    const { status, stderr } = await other.postern('account', 'list')
    expect(status).toBe(1)
    expect(stderr).toContain('a newer version of Postern has migrated it')
  } finally {
    await other.remove()
  }
})

test('doctor says what keeps the gate from starting, as one of its checks', async () => {
  const { status, stdout } = await place.postern(
    'doctor',
    '--json',
    '--database-url',
    'postgres://nobody@127.0.0.1:1/none',
  )
  expect(status).toBe(1)
  const { ok, checks } = JSON.parse(stdout)
  expect(ok).toBe(false)
  expect(checks[0].detail).toMatch(/POSTERN_DATABASE_URL cannot be used: .*ECONNREFUSED/)
})

test('doctor answers one JSON value, whatever keeps it from looking', async () => {
  const { status, stdout } = await postern('doctor', '--json', '--config', '/nowhere')
  expect(status).toBe(1)
  expect(JSON.parse(stdout).checks).toMatchObject([{ name: 'start', ok: false }])
})

test('a call with an idempotency key can be repeated, and shows the same token', async () => {
  const create = () =>
    place.json('token', 'create', '--name', 'k', '--domain', 'acme.test', '--idempotency-key', 'k1')
  const [first, second] = [await create(), await create()]
  expect(second).toEqual(first)
  const reset = () => place.json('token', 'reset', String(first.id), '--idempotency-key', 'k2')
  const [one, two] = [await reset(), await reset()]
  expect(two.token).toBe(one.token)
  expect(two.replaces.id).toBe(first.id)
})

test('a setting whose name is spelled wrong is pointed out', async () => {
  const other = createWorkplace({ POSTERN_HTTP_LISTN: 'x' })
  try {
    const gate = await other.start('dev')
    expect(gate.output()).toContain('POSTERN_HTTP_LISTN is not a setting')
  } finally {
    await other.remove()
  }
})

test('flags beat the environment, and the environment beats the file', async () => {
  const other = createWorkplace({ POSTERN_TOKEN_PREFIX: 'env_' })
  try {
    writeFileSync(
      `${other.folder}/settings`,
      'POSTERN_TOKEN_PREFIX=file_\nPOSTERN_SEAL_TOKENS=false\n',
    )
    await other.jsonOfProcess('account', 'create', 'A', '--config', 'settings')
    const added = await other.jsonOfProcess('domain', 'add', 'a.test', '--config', 'settings')
    expect(added.token.token).toMatch(/^env_/)
    const flagged = await other.jsonOfProcess('domain', 'add', 'b.test', '--token-prefix', 'flag_')
    expect(flagged.token.token).toMatch(/^flag_/)
    const revealed = await other.postern('token', 'reveal', String(added.token.id))
    expect(revealed).toMatchObject({ status: 1, stderr: expect.stringContaining('no copy') })
  } finally {
    await other.remove()
  }
})
