import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type CommandLine, createCommandLine, settingsIn } from '../helpers/command-line.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'

/** The whole life of a token through the command line, beside a running gate in a process of its own. */

const windowMs = 1_500

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
}, 300_000)
afterAll(() => postgres.stop())

describe.each(['sqlite', 'postgres'] as const)('on %s', (database) => {
  let place: Workplace
  let gate: RunningProgram
  let postern: CommandLine
  /** Each test has a domain of its own. */
  let acme: string
  let tests = 0

  beforeAll(async () => {
    const settings: Record<string, string> = { POSTERN_RESET_WINDOW_MS: String(windowMs) }
    if (database === 'postgres') {
      settings.POSTERN_DATABASE_URL = await postgres.createDatabase()
      settings.POSTERN_SEAL_KEY_FILE = `${createKeyFile()}`
    }
    place = createWorkplace(settings)
    postern = createCommandLine({ ...settingsIn(place.folder), ...settings })
    gate = await place.start('dev', { POSTERN_SWEEP_INTERVAL_MS: '200' })
  })
  afterAll(() => place.remove())
  beforeEach(() => {
    tests += 1
    acme = `acme${tests}.test`
  })

  async function send(token: string, domain = acme): Promise<number> {
    const answer = await fetch(`${gate.ready.http}/api/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        from: { email: `hello@${domain}` },
        to: [{ email: 'you@example.net' }],
        subject: 'x',
        text: 'x',
      }),
    })
    return answer.status
  }

  test('a domain comes with its token, named after it and the id, which may send as it', async () => {
    const account = await place.json('account', 'create', 'Acme')
    const domain = await place.json(
      'domain',
      'add',
      '--account',
      String(account.id),
      acme.toUpperCase(),
    )
    expect(domain).toMatchObject({
      name: acme,
      token: { name: `${acme} token ${domain.token.id}`, token: expect.stringMatching(/^pst_/) },
    })
    expect(await send(domain.token.token)).toBe(200)
    expect(await send(domain.token.token, 'example.com')).toBe(403)

    const [listed] = await place.json('token', 'list', '--account', String(account.id))
    expect(listed).toMatchObject({
      id: domain.token.id,
      last_4_digits: domain.token.token.slice(-4),
      created_by: 'System',
      expires_at: null,
      resources: [{ resource_type: 'domain', resource_id: domain.id, access_level: 100 }],
    })
    expect(JSON.stringify(listed)).not.toContain(domain.token.token)
  })

  test('reset leaves old and new valid until the window ends, then the old one vanishes', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token } = await place.json('domain', 'add', '--account', account, acme)
    const successor = await place.json('token', 'reset', String(token.id))
    const resetAt = Date.now()
    expect(successor).toMatchObject({
      name: `${acme} token ${successor.id}`,
      replaces: { id: token.id, standing: 'reset' },
    })
    expect(await send(successor.token)).toBe(200)
    if (Date.now() < resetAt + windowMs / 3) expect(await send(token.token)).toBe(200)

    const endsAt = Date.parse(successor.replaces.window_ends_at)
    await new Promise((resolve) => setTimeout(resolve, endsAt - Date.now() + 5))
    expect(await send(token.token)).toBe(401)
    expect(await send(successor.token)).toBe(200)
    await expect
      .poll(() => place.json('token', 'list', '--account', account), { timeout: 15_000 })
      .toMatchObject([{ id: successor.id }])
  })

  test('a reset with a window of 0 ends the old token at once', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token } = await place.json('domain', 'add', '--account', account, acme)
    const successor = await place.json('token', 'reset', String(token.id), '--window', '0')
    expect(await send(token.token)).toBe(401)
    expect(await send(successor.token)).toBe(200)
  })

  test('a reset is not repeated, and can be undone while its window runs; both tokens stay', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token } = await place.json('domain', 'add', '--account', account, acme)
    const successor = await place.json('token', 'reset', String(token.id), '--window', '1h')
    const again = await postern('token', 'reset', String(token.id))
    expect(again).toMatchObject({ status: 1, stderr: expect.stringContaining('was reset') })
    const undone = await place.json('token', 'undo-reset', String(token.id))
    expect(undone).toMatchObject({ id: token.id, standing: 'active', window_ends_at: null })
    expect(await send(token.token)).toBe(200)
    expect(await send(successor.token)).toBe(200)
    expect(await postern('token', 'undo-reset', String(token.id))).toMatchObject({
      status: 1,
    })
  })

  test('a window can be shortened, and ended', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token } = await place.json('domain', 'add', '--account', account, acme)
    await place.json('token', 'reset', String(token.id), '--window', '1h')
    await place.json('token', 'window', String(token.id), '2h')
    expect(await send(token.token)).toBe(200)
    await place.json('token', 'window', String(token.id), '0')
    expect(await send(token.token)).toBe(401)
    const late = await postern('token', 'window', String(token.id), '1h')
    expect(late.status).toBe(1)
  })

  test('the last token of a domain cannot be deleted, nor lose the domain, before another has it', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token, id } = await place.json('domain', 'add', '--account', account, acme)
    const other = await place.json('domain', 'add', '--account', account, 'acme.example')
    for (const attempt of [
      ['token', 'delete', String(token.id)],
      ['token', 'permissions', String(token.id), '--domain', `${acme}:viewer`],
      ['token', 'permissions', String(token.id), '--account-level', 'admin'],
      ['token', 'reset', String(token.id), '--expires', '2099-01-01'],
    ]) {
      const { status, stderr } = await postern(...attempt)
      expect({ status, stderr }).toMatchObject({ status: 1 })
      expect(stderr).toContain(acme)
    }
    expect(await send(token.token)).toBe(200)

    const wider = await place.json(
      'token',
      'permissions',
      String(other.token.id),
      '--domain',
      'acme.example',
      '--domain',
      `${acme}:admin`,
    )
    expect(wider.resources).toContainEqual({
      resource_type: 'domain',
      resource_id: id,
      access_level: 100,
    })
    expect(await send(other.token.token)).toBe(200)
    const deleted = await place.json('token', 'delete', String(token.id))
    expect(deleted).toMatchObject({ deleted: true, receipt: { epoch: expect.any(Number) } })
    expect(await send(token.token)).toBe(401)
    expect(await place.json('token', 'delete', String(token.id))).toMatchObject({ deleted: true })
  })

  test('permissions edited take effect with the answer', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    await place.json('domain', 'add', '--account', account, acme)
    const token = await place.json(
      'token',
      'create',
      '--account',
      account,
      '--name',
      'n',
      '--domain',
      `${acme}:viewer`,
    )
    expect(await send(token.token)).toBe(403)
    await place.json('token', 'permissions', String(token.id), '--domain', `${acme}:admin`)
    expect(await send(token.token)).toBe(200)
    await place.json('token', 'permissions', String(token.id), '--domain', `${acme}:viewer`)
    expect(await send(token.token)).toBe(403)
  })

  test('a removed domain cannot be sent from, whatever the token, and widens nothing', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token } = await place.json('domain', 'add', '--account', account, acme)
    await place.json('domain', 'remove', acme)
    expect(await send(token.token)).toBe(403)
    expect(await place.json('token', 'show', String(token.id))).toMatchObject({ resources: [] })
    const taken = await place.json('account', 'create', 'Other')
    await place.json('domain', 'add', '--account', String(taken.id), acme)
    expect(await send(token.token)).toBe(403)
  })

  test('a token is copied from its sealed copy, and explained', async () => {
    const account = String((await place.json('account', 'create', 'Acme')).id)
    const { token } = await place.json('domain', 'add', '--account', account, acme)
    expect(await place.json('token', 'reveal', String(token.id))).toEqual({
      id: token.id,
      token: token.token,
    })
    const explained = await place.json('explain', '--token', token.token, '--from', `x@${acme}`)
    expect(explained).toMatchObject({ allowed: true, token_id: token.id, domain: acme })
    const refused = await place.json('explain', '--token', token.token, '--from', 'x@example.com')
    expect(refused).toMatchObject({ allowed: false, reason: 'not-domain-admin' })
  })

  test('a signing key is rotated beside the running gate, and the one before stays published', async () => {
    const before = await place.json('keys', 'list')
    const { kid } = await place.json('keys', 'rotate')
    const after = await place.json('keys', 'list')
    expect(after.keys.map((key: { kid: string }) => key.kid)).toEqual(
      expect.arrayContaining([kid, before.keys[0].kid]),
    )
    expect(JSON.stringify(after)).not.toContain('"d"')
  })

  test('doctor finds everything in order, and migrate has nothing to do', async () => {
    expect(await place.jsonOfProcess('doctor')).toMatchObject({ ok: true })
    expect(await place.jsonOfProcess('migrate')).toEqual({ applied: [] })
  })
})

function createKeyFile(): string {
  const { folder } = createWorkplace()
  const file = `${folder}/seal.key`
  writeFileSync(file, randomBytes(32).toString('base64'))
  return file
}
