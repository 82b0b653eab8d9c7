import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { OutcomeUnknown } from '../../src/core/outcome-unknown.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { untilCommitsWait, waitingCommits } from '../helpers/commits-wait.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { actor, start as at, done, minted } from './store.contract.ts'

/** A primary that has to wait for a standby which never answers: what it commits meanwhile may be lost in a failover. */

let postgres: Postgres
let url: string
let operator: pg.Client
let store: Store
let accountId: number

beforeAll(async () => {
  postgres = await startPostgres()
}, 300_000)
afterAll(() => postgres.stop())

beforeEach(async () => {
  url = await postgres.createDatabase()
  operator = new pg.Client({ connectionString: url })
  await operator.connect()
  // As an administrator may have set it, for the noise in a log.
  await operator.query('alter role postgres set client_min_messages = error')
  store = await openStore(url)
  await store.migrate()
  accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
})
afterEach(async () => {
  await waitForStandby('')
  await store.close()
  await operator.end()
})

async function waitForStandby(name: string) {
  await operator.query(`alter system set synchronous_standby_names = '${name}'`)
  await operator.query('select pg_reload_conf()')
  const shown = async () =>
    (await operator.query('show synchronous_standby_names')).rows[0].synchronous_standby_names
  await expectEventually(shown, name)
  if (name !== '') await untilCommitsWait(url, operator)
}

async function countWaiting() {
  return (await operator.query(`select ${waitingCommits}`)).rowCount
}

async function expectEventually(read: () => Promise<unknown>, wanted: unknown) {
  while ((await read()) !== wanted) await new Promise((resolve) => setImmediate(resolve))
}

/** Does to the connection whose commit waits for the standby what an operator, or a shutdown, would. */
async function interrupt(act: 'pg_cancel_backend' | 'pg_terminate_backend') {
  await expectEventually(countWaiting, 1)
  await operator.query(`select ${act}(pid) ${waitingCommits}`)
}

const createToken = (more = {}) =>
  store.createToken({
    accountId,
    name: 'x',
    grants: [],
    expiresAt: null,
    token: minted(),
    actor,
    at,
    ...more,
  })

describe('a change whose commit is not waited for by its standby', () => {
  test('is of unknown outcome when the wait is cancelled, and so is each repetition until the standby is there', async () => {
    const { id: tokenId } = done(await createToken())
    const remove = () => store.deleteToken({ tokenId, actor, at })
    await waitForStandby('nobody')
    for (let call = 0; call < 2; call++) {
      const removing = expect(remove()).rejects.toThrow(OutcomeUnknown)
      await interrupt('pg_cancel_backend')
      await removing
    }
    await waitForStandby('')
    expect(done(await remove()).repeated).toBe(true)
  })

  test('is of unknown outcome when its connection is ended while it waits', async () => {
    const { id: tokenId } = done(await createToken())
    await waitForStandby('nobody')
    const removing = expect(store.deleteToken({ tokenId, actor, at })).rejects.toThrow(
      OutcomeUnknown,
    )
    await interrupt('pg_terminate_backend')
    await removing
    // The connection is not used again, and others are there.
    expect(await store.getToken(tokenId)).toBeUndefined()
  })

  test('an edit that changes nothing any more is not claimed either', async () => {
    const { id: tokenId } = done(await createToken())
    const grants = [{ resource: { type: 'account', id: accountId }, level: 'admin' }] as const
    const edit = () => store.replaceGrants({ tokenId, grants, actor, at })
    await waitForStandby('nobody')
    for (let call = 0; call < 2; call++) {
      const editing = expect(edit()).rejects.toThrow(OutcomeUnknown)
      await interrupt('pg_cancel_backend')
      await editing
    }
    await waitForStandby('')
    expect(done(await edit()).grants).toEqual(grants)
  })

  test('a token made under an idempotency key is told of once it is there to stay', async () => {
    const once = { scope: 'test', key: 'a', fingerprint: 'f', sealed: 'the first secret' }
    await waitForStandby('nobody')
    for (let call = 0; call < 2; call++) {
      const creating = expect(createToken({ once })).rejects.toThrow(OutcomeUnknown)
      await interrupt('pg_cancel_backend')
      await creating
    }
    await waitForStandby('')
    expect(await createToken({ once })).toMatchObject({ done: true, repeats: once.sealed })
    expect(await store.listTokens(accountId)).toHaveLength(1)
  })

  test('is of unknown outcome when nobody interrupts it and no answer comes', async () => {
    await waitForStandby('nobody')
    await expect(createToken()).rejects.toThrow(OutcomeUnknown)
  })
})

test('a renewal that the standby has not got is none: a primary that was deposed keeps no gate alive', async () => {
  const incarnation = randomUUID()
  await store.addNode({ incarnation, name: 'gate:1', holdMs: 10_000, at })
  const renew = () => store.renewNode({ incarnation, applied: undefined, at })
  expect(await renew()).toBe(1)
  await waitForStandby('nobody')
  const renewing = expect(renew()).rejects.toThrow(OutcomeUnknown)
  await interrupt('pg_cancel_backend')
  await renewing
})
