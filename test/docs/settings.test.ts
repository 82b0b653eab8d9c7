import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { settingsPage } from '../../docs/settings-page.ts'

test('docs/settings.md is what `npm run docs` writes', () => {
  expect(readFileSync('docs/settings.md', 'utf8')).toBe(settingsPage())
})

test('every link between the pages leads somewhere', () => {
  const pages = globSync(['*.md', 'docs/**/*.md'])
  expect(pages.length).toBeGreaterThan(10)
  const broken = pages.flatMap((page) => {
    const targets = [...readFileSync(page, 'utf8').matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
    return targets
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(dirname(page), target)))
      .map((target) => `${page}: ${target}`)
  })
  expect(broken).toEqual([])
})
