import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('V8 knows all that it is told', async () => {
  const module = resolve('src/v8.ts')
  const script = `import(${JSON.stringify(module)}).then((tune) => tune.tuneV8())`
  // V8 complains here, and goes on.
  const { stderr } = await promisify(execFile)(process.execPath, ['-e', script])
  expect(stderr).toBe('')
})
