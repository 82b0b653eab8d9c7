import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createWorkplace, runProgram, type Workplace } from '../helpers/program.ts'

/** How the process behaves where its surroundings are not as usual. */

let place: Workplace

beforeEach(() => {
  place = createWorkplace()
})
afterEach(() => place.remove())

test('a user without an entry in the password file, as in a container, can run everything', async () => {
  const preload = `import os from 'node:os'
    import { syncBuiltinESMExports } from 'node:module'
    os.userInfo = () => { throw new Error('uv_os_get_passwd returned ENOENT') }
    syncBuiltinESMExports()`
  place.environment.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(preload)}`
  await place.jsonOfProcess('account', 'create', 'Acme')
  await place.jsonOfProcess('domain', 'add', 'acme.test')
  const token = await place.jsonOfProcess('token', 'create', '--name', 'x', '--domain', 'acme.test')
  expect(token.created_by).toBe(`uid ${process.getuid?.()}`)
})

const anyPorts = ['--http-listen', '--smtp-listen', '--admin-listen'].map(
  (flag) => `${flag}=127.0.0.1:0`,
)

test('a gate that cannot write its ready file says so, and ends', async () => {
  const ended = await place.postern('dev', ...anyPorts, '--ready-file', '/nowhere/ready.json')
  expect(ended).toMatchObject({ status: 1, stderr: expect.stringContaining('/nowhere/ready.json') })
}, 40_000)

test('a ready file that another run left is gone before anything listens', async () => {
  const file = join(place.folder, 'ready.json')
  writeFileSync(file, '{"http":"http://127.0.0.1:1"}')
  const ended = await place.postern('dev', '--http-listen=192.0.2.1:1', '--ready-file', file)
  expect(ended.status).toBe(1)
  expect(existsSync(file)).toBe(false)
})

const program = resolve('src/postern.js')

test('a reader that leaves early, as head does, is no error, also not for a running gate', async () => {
  const { folder: cwd, environment: env } = place
  for (const [args, ends] of [
    [['--help'], true],
    [['dev', ...anyPorts, '--ready-file', 'ready.json'], false],
  ] as const) {
    const child = spawn(process.execPath, [program, ...args], { cwd, env })
    child.stdout.destroy()
    let complaint = ''
    child.stderr.on('data', (chunk) => (complaint += chunk))
    if (!ends) {
      await expect.poll(() => existsSync(join(cwd, 'ready.json')), { timeout: 10_000 }).toBe(true)
      child.kill()
    }
    expect(await once(child, 'close')).toEqual([0, null])
    expect(complaint).toBe('')
  }
}, 40_000)

test('an answer that could not be written is exit status 1', async () => {
  const command = `"${process.execPath}" "${program}" account list > /dev/full`
  const ended = await runProgram('/bin/sh', ['-c', command], {
    cwd: place.folder,
    env: place.environment,
  })
  expect(ended.status).toBe(1)
  expect(ended.stderr).toMatch(/^postern: .*ENOSPC.*\n$/)
})

describe('a change that was made is not reported as failed, nor held up, by a Redis', () => {
  test('whose certificates cannot be read', async () => {
    place.environment.POSTERN_REDIS_URL = 'rediss://127.0.0.1:1'
    place.environment.POSTERN_REDIS_CA = '/nowhere/ca.pem'
    await place.json('account', 'create', 'Acme')
    const ended = await place.postern('domain', 'add', 'acme.test', '--json')
    expect(ended.status).toBe(0)
    expect(JSON.parse(ended.stdout).token.token).toMatch(/^pst_/)
    expect(ended.stderr).toMatch(/announce_failed.*POSTERN_REDIS_CA/)
  })

  test.each(['redis', 'redis-sentinel', 'redis-cluster'])(
    'that accepts %s connections and says nothing',
    async (scheme) => {
      const server = createServer((socket) => socket.on('error', () => {}).resume())
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
      onTestFinished(() => void server.close())
      const { port } = server.address() as AddressInfo
      const name = scheme === 'redis-sentinel' ? '/gates' : ''
      place.environment.POSTERN_REDIS_URL = `${scheme}://127.0.0.1:${port}${name}`
      await place.json('account', 'create', 'Acme')
      // A command that does not end is killed, and has no status.
      const ended = await place.postern('domain', 'add', 'acme.test', '--json')
      expect(ended.status).toBe(0)
      expect(JSON.parse(ended.stdout).token.token).toMatch(/^pst_/)
    },
    60_000,
  )
})

test('doctor says which file of Redis cannot be used, beside everything else', async () => {
  place.environment.POSTERN_REDIS_URL = 'rediss://127.0.0.1:1'
  place.environment.POSTERN_REDIS_CA = '/nowhere/ca.pem'
  const ended = await place.postern('doctor', '--json')
  expect(ended.stdout).toContain('POSTERN_REDIS_CA')
  expect(JSON.parse(ended.stdout)).toBeDefined()
})
