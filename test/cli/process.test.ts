import { afterEach, beforeEach, expect, test } from 'vitest'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

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
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  const token = await place.json('token', 'create', '--name', 'x', '--domain', 'acme.test')
  expect(token.created_by).toBe(`uid ${process.getuid?.()}`)
})
