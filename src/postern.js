#!/usr/bin/env node
// Plain JavaScript that any Node can read, and no imports of ours before the check: an old one must get a sentence,
// not a syntax error.
import { existsSync } from 'node:fs'

const oldest = 24
if (Number(process.versions.node.split('.')[0]) < oldest) {
  process.stderr.write(
    `postern: needs Node.js ${oldest} or newer, and this is ${process.versions.node}. In a clone, "npm ci" brings it (without --omit=optional).\n`,
  )
  process.exitCode = 1
} else {
  // A clone runs its sources as they are; the published package has them compiled.
  const source = new URL('./main.ts', import.meta.url)
  await import(
    existsSync(source) ? source.href : new URL('../dist/src/main.js', import.meta.url).href
  )
}
