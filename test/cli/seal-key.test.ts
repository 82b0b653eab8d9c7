import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createWorkplace, runProgram, type Workplace } from '../helpers/program.ts'

let place: Workplace

beforeEach(() => {
  place = createWorkplace()
})
afterEach(() => place.remove())

test('a process that ends while it makes the key file leaves no half of one', async () => {
  const file = join(place.folder, 'seal.key')
  const script = `import { readSealKey } from ${JSON.stringify(resolve('src/seal-key.ts'))}
    readSealKey(${JSON.stringify(file)}, { mayCreate: true, random: { bytes: (n) => new Uint8Array(n) } })`
  const command = `ulimit -f 0; exec "${process.execPath}" --input-type=module -e "$0"`
  const ended = await runProgram('/bin/sh', ['-c', command, script])
  expect(ended.status).not.toBe(0)
  expect(existsSync(file)).toBe(false)
})
