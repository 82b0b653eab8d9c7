import { readFileSync } from 'node:fs'

export function readVersion(): string {
  // Beside src/ in the repository, beside dist/ in the published package.
  for (const candidate of ['../package.json', '../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(candidate, import.meta.url), 'utf8')).version
    } catch {}
  }
  return 'unknown'
}
