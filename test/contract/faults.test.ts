import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { OutcomeUnknown } from '../../src/core/outcome-unknown.ts'
import { createRevoke } from '../../src/service/revoke.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { untilCommitsWait } from '../helpers/commits-wait.ts'
import { migrations } from '../helpers/migrations.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { actor, done, minted, onDomain, start } from './store.contract.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-faults-'))
afterAll(() => rmSync(folder, { recursive: true }))

const at = start
let files = 0
function newFile() {
  files += 1
  return join(folder, `${files}`, 'postern.db')
}

describe('SQLite', () => {
  test('the file and its folder are for their owner only', async () => {
    const file = newFile()
    const store = await openStore(`sqlite:${file}`)
    await store.migrate()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o700)
    await store.close()
  })

  test('a change waits for another process, and does not hold up this one', async () => {
    const file = newFile()
    const store = await openStore(`sqlite:${file}`)
    await store.migrate()
    const other = new DatabaseSync(file)
    other.exec('begin immediate')
    let answered = false
    const change = store.createAccount({ name: 'Acme', actor, at }).then((result) => {
      answered = true
      return result
    })
    // Reading goes on beside it, and so does everything else in the process.
    for (let i = 0; i < 20; i++) {
      expect(await store.listAccounts()).toEqual([])
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(answered).toBe(false)
    other.exec('rollback')
    other.close()
    expect(done(await change).name).toBe('Acme')
    await store.close()
  })

  test('two processes may bring up one new file at once', async () => {
    const url = `sqlite:${newFile()}`
    const stores = await Promise.all([openStore(url), openStore(url), openStore(url)])
    const applied = await Promise.all(stores.map((store) => store.migrate()))
    // Each of them once, by whichever came first.
    expect(applied.flat()).toEqual(migrations)
    for (const store of stores) await store.close()
  })

  test('a file that is no database is refused, and left as it is', async () => {
    const file = newFile()
    const { mkdirSync, readFileSync, writeFileSync } = await import('node:fs')
    mkdirSync(join(file, '..'))
    writeFileSync(file, 'not a database, but something somebody needs')
    await expect(openStore(`sqlite:${file}`)).rejects.toThrow()
    expect(readFileSync(file, 'utf8')).toBe('not a database, but something somebody needs')
  })

  test('a process that is killed in the middle of changes leaves a consistent store', async () => {
    for (let round = 0; round < 5; round++) {
      const file = newFile()
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, '../helpers/change-store.ts'), file],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      )
      const promised = await killAfter(child, 30 + round * 20)
      const store = await openStore(`sqlite:${file}`)
      await expectConsistent(store, promised)
      await store.close()
    }
  }, 60_000)
})

/** Kills the process without warning once it has reported so many changes; answers all that it reported. */
async function killAfter(child: ChildProcess, count: number): Promise<string[]> {
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    output += text
    if (output.split('\n').length > count) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return output.split('\n').slice(0, -1)
}

/** Everything that was reported is there, and everything that is there is whole. */
async function expectConsistent(store: Store, promised: readonly string[]) {
  expect(promised.length).toBeGreaterThan(10)
  const checks = await store.inspect()
  // The tokens of this test ended long ago, by the database's clock.
  expect(checks.filter(({ name, ok }) => !ok && name !== 'ended tokens')).toEqual([])
  const domains = await store.listDomains()
  const names = new Set(domains.map(({ name }) => name))
  const added = promised.filter((line) => line.startsWith('added ')).map((line) => line.slice(6))
  for (const name of added) expect(names).toContain(name)
  const deleted = promised
    .filter((line) => line.startsWith('deleted '))
    .map((line) => line.slice(8))
  for (const id of deleted) {
    expect(await store.getToken(Number(id))).toBeUndefined()
    const again = await store.deleteToken({ tokenId: Number(id), actor, at })
    expect(done(again).repeated).toBe(true)
  }
  // A domain is never there without its token, nor a reset without its successor.
  for (const { id, accountId } of domains) {
    const tokens = await store.listTokens(accountId)
    const holding = tokens.filter(({ grants }) => grants.some(({ resource }) => resource.id === id))
    expect(holding.length).toBeGreaterThan(0)
    for (const { successorId } of tokens) {
      if (successorId !== null) expect(tokens.map((token) => token.id)).toContain(successorId)
    }
  }
}

describe('PostgreSQL', () => {
  let postgres: Postgres
  let store: Store
  const { digest } = minted()

  beforeAll(async () => {
    postgres = await startPostgres()
    store = await openStore(await postgres.createDatabase())
    await store.migrate()
  })
  afterAll(async () => {
    await store.close()
    await postgres.stop()
  })

  test('a server that is gone makes every question throw, and one that is back answers', async () => {
    const accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
    await postgres.kill()
    await expect(store.findCredential(digest)).rejects.toThrow()
    await expect(store.ping()).rejects.toThrow()
    const change = store.createToken({
      accountId,
      name: 'x',
      grants: [],
      expiresAt: null,
      token: minted(),
      actor,
      at,
    })
    await expect(change).rejects.toThrow()
    await postgres.start()
    expect((await store.findCredential(digest)).value).toBeUndefined()
    expect(await store.listTokens(accountId)).toEqual([])
  })

  test('a server that hangs makes questions throw in bounded time, and answers when it goes on', async () => {
    await store.ping()
    postgres.pause()
    try {
      await expect(store.findCredential(digest)).rejects.toThrow()
    } finally {
      postgres.resume()
    }
    for (let i = 0; i < 30; i++) expect((await store.findCredential(digest)).value).toBeUndefined()
  }, 30_000)

  test('a database that cannot be reached is an error that names no password', async () => {
    const url = 'postgres://someone:s3cret@127.0.0.1:1/none'
    const unreachable = await openStore(url)
    const failure = await unreachable.migrate().catch((error) => error)
    expect(String(failure)).toContain('ECONNREFUSED')
    expect(String(failure)).not.toContain('s3cret')
    await unreachable.close()
  })

  test('a process that stops between its locks and its commit does not hold the others for long', async () => {
    const url = await postgres.createDatabase()
    const mine = await openStore(url)
    await mine.migrate()
    const accountId = done(await mine.createAccount({ name: 'Acme', actor, at })).id
    const stuck = new pg.Client({ connectionString: url })
    await stuck.connect()
    await stuck.query('begin')
    await stuck.query('update revocation_clock set epoch = epoch + 1')
    const add = () =>
      mine.addDomain({
        accountId,
        name: 'a.example',
        state: 'verified',
        token: minted(),
        actor,
        at,
      })
    await expect(add()).rejects.toThrow('nothing was changed, try again')
    expect(await mine.listDomains()).toEqual([])
    await stuck.query('rollback')
    await stuck.end()
    const { domain } = done(await add())
    const grants = [onDomain(domain.id)]
    const request = { accountId, name: 'x', grants, expiresAt: null, token: minted(), actor, at }
    expect(done(await mine.createToken(request)).grants).toEqual(grants)
    await mine.close()
  }, 30_000)

  test('a commit that its standby did not get is not claimed, nor is a repeated deletion', async () => {
    const url = await postgres.createDatabase()
    const mine = await openStore(url)
    await mine.migrate()
    const accountId = done(await mine.createAccount({ name: 'Acme', actor, at })).id
    const request = {
      accountId,
      name: 'x',
      grants: [],
      expiresAt: null,
      token: minted(),
      actor,
      at,
    }
    const tokenId = done(await mine.createToken(request)).id
    const admin = new pg.Client({ connectionString: url })
    await admin.connect()
    const standby = async (names: string) => {
      await admin.query(`alter system set synchronous_standby_names = '${names}'`)
      await admin.query('select pg_reload_conf()')
    }
    await standby('nobody')
    await untilCommitsWait(url, admin)
    try {
      const remove = () => mine.deleteToken({ tokenId, actor, at })
      await expect(remove()).rejects.toThrow(OutcomeUnknown)
      // The server may still be waiting for the first.
      await expect(remove()).rejects.toThrow(/repeat the call|nothing was changed/)
    } finally {
      await standby('')
      await admin.end()
    }
    expect(done(await mine.deleteToken({ tokenId, actor, at })).repeated).toBe(true)
    await mine.close()
  }, 60_000)

  test('a deletion whose answer is lost on the way is asked about, and has happened once', async () => {
    const url = await postgres.createDatabase()
    const proxy = await startCuttingProxy(url)
    onTestFinished(() => void proxy.close())
    const mine = await openStore(proxy.url)
    await mine.migrate()
    const accountId = done(await mine.createAccount({ name: 'Acme', actor, at })).id
    const request = {
      accountId,
      name: 'x',
      grants: [],
      expiresAt: null,
      token: minted(),
      actor,
      at,
    }
    const { id } = done(await mine.createToken(request))
    const { deleteToken } = createRevoke({
      registry: mine,
      confirm: async (epoch) => ({
        epoch,
        propagation: 'confirmed',
        confirmed: 0,
        fenced: 0,
        waitingFor: [],
        ms: 0,
      }),
      clock: { now: () => at },
    })
    proxy.cutNextCommit()
    expect(await deleteToken(id, actor)).toMatchObject({ done: true, value: { repeated: true } })
    proxy.cutNextCommit()
    const creating = mine.createToken({ ...request, token: minted() })
    await expect(creating).rejects.toThrow(/repeat the call/)
    await mine.close()
  }, 30_000)

  test('another timeline of the server is another era of the log', async () => {
    const url = await postgres.createDatabase()
    const mine = await openStore(url)
    await mine.migrate()
    const accountId = done(await mine.createAccount({ name: 'Acme', actor, at })).id
    let domains = 0
    const change = async () => {
      domains += 1
      const name = `d${domains}.example`
      const token = minted()
      done(await mine.addDomain({ accountId, name, state: 'verified', token, actor, at }))
      return mine.readNodes()
    }
    const first = await change()
    expect((await change()).moment.era).toBe(first.moment.era)
    const admin = new pg.Client({ connectionString: url })
    await admin.connect()
    await admin.query(`update revocation_clock set timeline = '000000FF'`)
    await admin.end()
    const promoted = await change()
    expect(promoted.moment.era).not.toBe(first.moment.era)
    expect(promoted.eraAgeMs).toBeLessThan(60_000)
    expect((await change()).moment.era).toBe(promoted.moment.era)
    await mine.close()
  })
})

/** Between a store and its server: it can let a commit through, and cut the line before the answer comes back. */
async function startCuttingProxy(databaseUrl: string) {
  const { hostname, port, pathname } = new URL(databaseUrl)
  let armed = false
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let cutting = false
    client.on('error', () => {}).on('close', () => upstream.destroy())
    upstream.on('error', () => {}).on('close', () => client.destroy())
    client.on('data', (bytes) => {
      if (armed && bytes.includes('commit\0')) {
        armed = false
        cutting = true
      }
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (cutting) client.destroy()
      else client.write(bytes)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  return {
    url: `postgres://postgres@127.0.0.1:${own}${pathname}`,
    cutNextCommit() {
      armed = true
    },
    close: () => server.close(),
  }
}
