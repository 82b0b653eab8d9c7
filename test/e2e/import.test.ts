import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest'
import { digestToken } from '../../src/core/token.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** `postern import` as it is run, beside a gate that goes on. */

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
}, 300_000)
afterAll(() => postgres.stop())

let place: Workplace

async function prepare(database: 'sqlite' | 'postgres') {
  const url = database === 'postgres' ? await postgres.createDatabase() : undefined
  place = createWorkplace(url === undefined ? {} : { POSTERN_DATABASE_URL: url })
  place.environment.POSTERN_SEAL_KEY_FILE = join(place.folder, 'seal.key')
  writeFileSync(place.environment.POSTERN_SEAL_KEY_FILE, Buffer.alloc(32, 7).toString('base64'))
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
}

function write(name: string, content: string): string {
  const file = join(place.folder, name)
  writeFileSync(file, content)
  return file
}

/** Tokens that a test knows, and the rows of a file with them. */
const tokenOf = (number: number) => `token-of-another-program-${number}`
const header = 'name,sha256,domains\n'
function rows(from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) {
    text += `c ${i},${Buffer.from(digestToken(tokenOf(i)), 'base64url').toString('hex')},acme.test\n`
  }
  return text
}

/** The first transaction has 200 rows; the reader wants to see that another one follows. */
const begun = 'c 200,'
const firstBatch = header + rows(0, 200) + begun

/** An import that waits for its input. */
function startImport(...args: string[]) {
  const child = spawn(
    process.execPath,
    [resolve('src/postern.js'), 'import', '-', '--json', ...args],
    {
      cwd: place.folder,
      env: place.environment,
    },
  )
  let output = ''
  let complaint = ''
  child.stdout.on('data', (text) => (output += text))
  child.stderr.on('data', (text) => (complaint += text))
  child.stdin.on('error', () => {})
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'close').then(([status, signal]) => ({
    status,
    signal,
    output,
    complaint,
  }))
  return { child, ended }
}

const countTokens = async () => (await place.json('token', 'list')).length
/** The domain's own is there from the start. */
const untilImported = (count: number) =>
  expect.poll(countTokens, { timeout: 15_000, interval: 50 }).toBe(count + 1)

describe.each(['sqlite', 'postgres'] as const)('on %s', (database) => {
  beforeEach(() => prepare(database))
  afterEach(() => place.remove())

  async function send(gate: RunningProgram, token: string): Promise<number> {
    const answer = await fetch(`${gate.ready.http}/api/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        from: { email: 'hello@acme.test' },
        to: [{ email: 'you@example.net' }],
        subject: 'x',
        text: 'x',
      }),
    })
    return answer.status
  }

  async function authenticate(gate: RunningProgram, token: string): Promise<string> {
    const session = await connectSmtp(gate.ready.smtp)
    await session.say('EHLO client.test')
    return session.say(plain(token))
  }

  test('a token that a gate has just denied is accepted as soon as its import has answered, over HTTP and SMTP', async () => {
    const gate = await place.start('dev')
    const inTheClear = tokenOf(1)
    const byDigest = tokenOf(2)
    const file = write(
      'all.csv',
      `name,token,sha256,domains\na,${inTheClear},,acme.test\n${rows(2, 3).replace(',', ',,')}`,
    )
    for (const token of [inTheClear, byDigest]) {
      expect(await send(gate, token)).toBe(401)
      expect(await authenticate(gate, token)).toMatch(/^535 /)
    }
    const answer = await place.json('import', file)
    const statuses = await Promise.all([inTheClear, byDigest].map((token) => send(gate, token)))
    expect(statuses).toEqual([200, 200])
    expect(answer).toMatchObject({
      format: 'csv',
      imported: 2,
      refused: 0,
      receipt: { propagation: 'confirmed', confirmed: 1 },
    })
    expect(await authenticate(gate, inTheClear)).toMatch(/^235 /)
    expect(await authenticate(gate, byDigest)).toMatch(/^235 /)
  }, 40_000)

  test('a token in the clear can be copied later, one that came as a digest cannot; both say who imported them', async () => {
    const file = write(
      'all.csv',
      `name,token,sha256,domains\na,${tokenOf(1)},,acme.test\n${rows(2, 3).replace(',', ',,')}`,
    )
    await place.json('import', file, '--as', 'Alice')
    const tokens = await place.json('token', 'list')
    expect(tokens.slice(1)).toMatchObject([
      { name: 'a', created_by: 'Alice', last_4_digits: 'am-1' },
      { name: 'c 2', created_by: 'Alice', last_4_digits: '' },
    ])
    expect(await place.json('token', 'reveal', String(tokens[1].id))).toMatchObject({
      token: tokenOf(1),
    })
    const refused = await place.postern('token', 'reveal', String(tokens[2].id))
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('no copy') })
  }, 40_000)

  test('killed between two transactions it leaves what it has done, and the same command goes on from there', async () => {
    const { child, ended } = startImport()
    child.stdin.write(firstBatch)
    await untilImported(200)
    child.kill('SIGKILL')
    expect(await ended).toMatchObject({ signal: 'SIGKILL' })
    const file = write('all.csv', header + rows(0, 450))
    expect(await place.json('import', file)).toMatchObject({
      imported: 250,
      already_there: 200,
      lines: 450,
    })
    const tokens = await place.json('token', 'list')
    const names = tokens.map(({ name }: { name: string }) => name)
    expect(names.length).toBe(451)
    expect(new Set(names).size).toBe(451)
  }, 60_000)

  test('interrupted it finishes what it has read whole, says where it was, and never takes half a token', async () => {
    const { child, ended } = startImport('--domain', 'acme.test')
    child.stdin.write('name,token\n')
    for (let i = 0; i < 200; i++) child.stdin.write(`c ${i},${tokenOf(i)}\n`)
    child.stdin.write(`cut,${tokenOf(99_999).slice(0, -3)}`)
    await untilImported(200)
    child.kill('SIGINT')
    const { status, output } = await ended
    expect(status).toBe(1)
    expect(JSON.parse(output)).toMatchObject({
      imported: 200,
      stopped: 'by an interruption',
      receipt: { propagation: 'confirmed' },
    })
    expect(await countTokens()).toBe(201)
  }, 60_000)
})

describe('on postgres', () => {
  beforeEach(() => prepare('postgres'))
  afterEach(() => place.remove())

  test('killed in the middle of a transaction it leaves nothing of it', async () => {
    const url = place.environment.POSTERN_DATABASE_URL
    const holder = new pg.Client({ connectionString: url })
    const watcher = new pg.Client({ connectionString: url })
    await Promise.all([holder.connect(), watcher.connect()])
    onTestFinished(async () => void (await Promise.all([holder.end(), watcher.end()])))
    await holder.query('begin')
    await holder.query('lock table grants in share mode')
    const { child, ended } = startImport()
    child.stdin.write(firstBatch)
    const waiting = async () => {
      const { rows } = await watcher.query(
        `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%insert into grants%' and pid <> pg_backend_pid()`,
      )
      return rows[0].n
    }
    await expect.poll(waiting, { timeout: 10_000, interval: 20 }).toBe(1)
    child.kill('SIGKILL')
    await ended
    await holder.query('commit')
    expect(await countTokens()).toBe(1)
    const file = write('all.csv', header + rows(0, 300))
    expect(await place.json('import', file)).toMatchObject({ imported: 300, already_there: 0 })
  }, 60_000)

  test('a database that goes away ends it with a sentence, and the same command goes on from there', async () => {
    const { child, ended } = startImport()
    child.stdin.write(firstBatch)
    await untilImported(200)
    await postgres.kill()
    child.stdin.end(rows(200, 300).slice(begun.length))
    const { status, output, complaint } = await ended
    await postgres.start()
    expect({ status, output }).toEqual({ status: 1, output: '' })
    expect(complaint).toContain(
      '200 were imported until then. The same command again goes on from there',
    )
    const file = write('all.csv', header + rows(0, 300))
    expect(await place.json('import', file)).toMatchObject({ imported: 100, already_there: 200 })
  }, 60_000)
})

describe('the command', () => {
  beforeEach(() => prepare('sqlite'))
  afterEach(() => place.remove())

  const mixed = () =>
    write(
      'mixed.csv',
      [
        'name,token,domains',
        `good,${tokenOf(1)},acme.test`,
        'short,tiny,acme.test',
        `elsewhere,${tokenOf(2)},elsewhere.test`,
        `also good,${tokenOf(3)},acme.test:viewer`,
        '',
      ].join('\n'),
    )

  test('takes the good lines, names the others with the reason and no secret, and exits with 1', async () => {
    const report = join(place.folder, 'report.jsonl')
    const ended = await place.postern('import', mixed(), '--report', report)
    expect(ended.status).toBe(1)
    expect(ended.stdout).toMatch(/^Imported 2 of 4 into account 1, from mixed\.csv \(csv, /)
    expect(ended.stdout).toContain('line 3: the token is shorter than 16 characters')
    expect(ended.stdout).toContain('line 4: there is no domain elsewhere.test in this account')
    const lines = readFileSync(report, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { line: 2, outcome: 'imported', token_id: 2 },
      { line: 3, outcome: 'refused', problem: expect.stringContaining('shorter') },
      { line: 4, outcome: 'refused', problem: expect.stringContaining('elsewhere.test') },
      { line: 5, outcome: 'imported', token_id: 3 },
    ])
    for (const secret of ['tiny', tokenOf(1), tokenOf(2), tokenOf(3)]) {
      expect(ended.stdout + ended.stderr + lines.join()).not.toContain(secret)
    }
  })

  test('with --strict takes nothing unless everything can be taken', async () => {
    const ended = await place.postern('import', mixed(), '--strict', '--json')
    expect(ended.status).toBe(1)
    expect(JSON.parse(ended.stdout)).toMatchObject({ dry_run: true, imported: 2, refused: 2 })
    expect(await countTokens()).toBe(1)
    await place.json('domain', 'add', 'elsewhere.test')
    const good = write('good.csv', `name,token,domains\na,${tokenOf(1)},elsewhere.test\n`)
    expect(await place.json('import', good, '--strict')).toMatchObject({
      dry_run: false,
      imported: 1,
    })
  })

  test('with --dry-run says what it would do, and does nothing', async () => {
    const ended = await place.postern('import', mixed(), '--dry-run', '--json')
    expect(JSON.parse(ended.stdout)).toMatchObject({
      dry_run: true,
      imported: 2,
      refused: 2,
      missing_domains: ['elsewhere.test'],
      receipt: null,
    })
    expect(await countTokens()).toBe(1)
  })

  test('says that what is there is different, exits with 1, and a deleted token stays deleted', async () => {
    await place.postern('import', mixed())
    await place.json('token', 'permissions', '3', '--domain', 'acme.test')
    await place.json('token', 'delete', '2')
    const ended = await place.postern('import', mixed(), '--json')
    expect(ended.status).toBe(1)
    expect(JSON.parse(ended.stdout)).toMatchObject({
      imported: 0,
      different: 1,
      refused: 3,
      problems: expect.arrayContaining([
        { line: 2, problem: expect.stringContaining('that is final') },
        { line: 5, problem: 'it is token 3, with other permissions or another expiry' },
      ]),
    })
  })

  test('stops at a quote that is misplaced, with what stood before it imported', async () => {
    const file = write(
      'bad.csv',
      `name,token,domains\na,${tokenOf(1)},acme.test\nb"c,${tokenOf(2)},acme.test\n`,
    )
    const ended = await place.postern('import', file, '--json')
    expect(ended.status).toBe(1)
    expect(JSON.parse(ended.stdout)).toMatchObject({
      imported: 1,
      refused: 1,
      stopped: 'at line 3',
    })
  })

  test.each([
    [['nowhere.csv'], 1, 'ENOENT'],
    [['.'], 1, 'EISDIR'],
    [[], 2, 'usage'],
    [['-', '--strict'], 2, 'standard input'],
    [['mixed.csv', '--format', 'xml'], 2, 'csv, jsonl, postal, htpasswd'],
    [['mixed.csv', '--report', './mixed.csv'], 2, 'write over'],
    [['mixed.csv', '--report', '/nowhere/report'], 1, '/nowhere/report'],
    [['mixed.csv', '--domain', 'nowhere.test'], 1, 'no domain nowhere.test'],
    [['mixed.csv', '--domain', 'acme.test:owner'], 2, 'admin or viewer'],
    [['mixed.csv', '--account-level', 'owner'], 2, 'admin or viewer'],
    [['mixed.csv', '--account', '7'], 1, 'no such account'],
  ])(
    '%j is exit status %i, with a sentence, and imports nothing',
    async (args, status, sentence) => {
      const before = readFileSync(mixed(), 'utf8')
      const ended = await place.postern('import', ...args)
      expect(ended).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(sentence) })
      expect(await countTokens()).toBe(1)
      expect(readFileSync(join(place.folder, 'mixed.csv'), 'utf8')).toBe(before)
    },
  )

  test('shows how far it is on a terminal, and nothing of it with --json', async () => {
    const file = join(place.folder, 'many.csv')
    const stream = createWriteStream(file)
    stream.write(header)
    stream.end(rows(0, 20_000))
    await once(stream, 'close')
    // script(1) gives a program a terminal.
    const onTerminal = async (...more: string[]) => {
      const command = [process.execPath, resolve('src/postern.js'), 'import', file, ...more].join(
        ' ',
      )
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        cwd: place.folder,
        env: place.environment,
      })
      child.stdin.end()
      let output = ''
      child.stdout.on('data', (text) => (output += text))
      await once(child, 'close')
      return output
    }
    const shown = await onTerminal()
    expect(shown).toMatch(/\r\x1b\[K\d+ lines, \d+\/s, \d+ %, \d+ s left\r\x1b\[K/)
    expect(await onTerminal('--json')).toMatch(/^\{.*\}\s*$/)
    expect(existsSync(file)).toBe(true)
  }, 60_000)
})
