import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sealKeyBytes } from '../../src/assertion/seal.ts'
import { createWorkplace, runProgram, type Workplace } from '../helpers/program.ts'

let place: Workplace

beforeEach(() => {
  place = createWorkplace()
})
afterEach(() => place.remove())

test('nothing is sealed under a key that does not open what the database holds', async () => {
  await place.json('account', 'create', 'Acme')
  const { token } = await place.json('domain', 'add', 'acme.test')
  const elsewhere = createWorkplace({
    POSTERN_DATABASE_URL: `sqlite:${join(place.folder, 'data/postern.db')}`,
  })
  try {
    const refuses = async (complaint: string) => {
      for (const args of [
        ['token', 'create', '--name', 'x', '--domain', 'acme.test'],
        ['token', 'reset', String(token.id)],
        ['domain', 'add', 'acme.example'],
        ['keys', 'rotate'],
      ]) {
        const { status, stderr } = await elsewhere.postern(...args)
        expect({ status, stderr }).toEqual({
          status: 1,
          stderr: expect.stringContaining(complaint),
        })
      }
    }
    await refuses('POSTERN_SEAL_KEY_FILE ./data/seal.key does not exist')
    expect(existsSync(join(elsewhere.folder, 'data'))).toBe(false)
    mkdirSync(join(elsewhere.folder, 'data'))
    writeFileSync(
      join(elsewhere.folder, 'data/seal.key'),
      randomBytes(sealKeyBytes).toString('base64'),
    )
    await refuses('another key')
  } finally {
    await elsewhere.remove()
  }
  expect(await place.json('token', 'list')).toHaveLength(1)
  expect(await place.json('token', 'reveal', String(token.id))).toMatchObject({
    token: token.token,
  })
}, 30_000)

test('a process that ends while it makes the key file leaves no half of one', async () => {
  const file = join(place.folder, 'seal.key')
  const script = `import { readSealKey } from ${JSON.stringify(resolve('src/seal-key.ts'))}
    readSealKey(${JSON.stringify(file)}, { mayCreate: true, inUse: false, random: { bytes: (n) => new Uint8Array(n) } })`
  const command = `ulimit -f 0; exec "${process.execPath}" --input-type=module -e "$0"`
  const ended = await runProgram('/bin/sh', ['-c', command, script])
  expect(ended.status).not.toBe(0)
  expect(existsSync(file)).toBe(false)
})
