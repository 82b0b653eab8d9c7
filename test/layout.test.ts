import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

/** The table of docs/architecture.md: which folder may import from which others, besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/core': [],
  'src/service': ['src/core'],
  'src/store': ['src/core', 'src/service/ports'],
  'src/cache': ['src/core', 'src/service/ports'],
  'src/fleet': ['src/core', 'src/service/ports'],
  'src/assertion': ['src/core', 'src/service/ports'],
  'src/limits': ['src/core', 'src/service/ports'],
  'src/admin': ['src/core', 'src/service'],
  'src/cli': ['src/core', 'src/service'],
  'src/sink': ['src/core'],
  middleware: ['src/core', 'src/service'],
  smtp: ['src/core', 'src/service'],
}
/** Values and types that may go anywhere but into core, which is handed what they give. */
const anywhere = [
  'src/clock',
  'src/random',
  'src/log',
  'src/metrics',
  'src/onread',
  'src/roster',
  'src/turns',
]

const files = globSync('{src,middleware,smtp}/**/*.ts', { exclude: ['**/*.d.ts'] })

function imports(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  return [...source.matchAll(/(?:from|import) +'(\.[^']+)'/g)].map(([, path = '']) =>
    normalize(join(dirname(file), path)).replace(/\.ts$/, ''),
  )
}

function folderOf(path: string): string | undefined {
  return Object.keys(mayImport).find((folder) => path.startsWith(`${folder}/`))
}

test('there are files to look at, and imports in them', () => {
  expect(files.length).toBeGreaterThan(30)
  expect(files.flatMap(imports).length).toBeGreaterThan(100)
})

test('every folder imports only what the import table allows', () => {
  const wrong = files.flatMap((file) => {
    const folder = folderOf(file)
    // gateway.ts, main.ts, index.ts and their neighbours connect everything.
    if (folder === undefined) return []
    const allowed = [
      folder,
      ...(mayImport[folder] ?? []),
      ...(folder === 'src/core' ? [] : anywhere),
    ]
    return imports(file)
      .filter((path) => !allowed.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)))
      .map((path) => `${file} imports ${path}`)
  })
  expect(wrong).toEqual([])
})

test('every folder with code is in the import table', () => {
  const folders = files.map((file) => dirname(file)).filter((folder) => folder !== 'src')
  const unknown = folders.filter((folder) => folderOf(`${folder}/x`) === undefined)
  expect(unknown).toEqual([])
})

test('the command line and the data plane start without the management API', () => {
  const reached = new Set<string>()
  function follow(path: string) {
    if (reached.has(path)) return
    reached.add(path)
    imports(`${path}.ts`).forEach(follow)
  }
  for (const start of ['src/main', 'src/data-plane', 'src/worker']) follow(start)
  expect(reached.size).toBeGreaterThan(80)
  expect([...reached].filter((path) => path.startsWith('src/admin/'))).toEqual([])
})

test('the benchmark looks at the product and the servers of the tests, and the product at neither', () => {
  const bench = globSync('bench/**/*.ts', { exclude: ['**/node_modules/**'] })
  expect(bench.length).toBeGreaterThan(20)
  const mayLookAt = /^(?:bench|src|middleware|smtp|test\/helpers)\//
  const wrong = bench.flatMap((file) =>
    imports(file)
      .filter((path) => !mayLookAt.test(path))
      .map((path) => `${file} imports ${path}`),
  )
  const back = files.flatMap((file) =>
    imports(file)
      .filter((path) => /^(?:bench|test)\//.test(path))
      .map((path) => `${file} imports ${path}`),
  )
  expect([...wrong, ...back]).toEqual([])
})

test('core is pure: no clock, no randomness, no input and output', () => {
  const impure =
    /Date\.now|new Date\(\)|Math\.random|performance\.now|node:(fs|net|http|os)|process\./
  const wrong = files.filter(
    (file) => file.startsWith('src/core/') && impure.test(readFileSync(file, 'utf8')),
  )
  expect(wrong).toEqual([])
})

test('the clock and the environment are read in one place each', () => {
  const clockReaders = files.filter((file) => /Date\.now\(/.test(readFileSync(file, 'utf8')))
  const environmentReaders = files.filter((file) => /process\.env/.test(readFileSync(file, 'utf8')))
  expect(clockReaders).toEqual(['src/clock.ts'])
  expect(environmentReaders).toEqual(['src/main.ts'])
})
