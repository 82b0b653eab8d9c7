import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Result } from '../benchmark.ts'
import { drawingsOf } from './content.ts'
import { renderHtml } from './html.ts'
import { renderMarkdown } from './markdown.ts'

/** Writes README.md, index.html and a file for each chart. Charts of an earlier report are removed. */
export function writeReport(result: Result, folder: string) {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (name.endsWith('.svg')) rmSync(join(folder, name))
  for (const { file, svg } of result.sections.flatMap(drawingsOf)) {
    writeFileSync(join(folder, file), `${svg}\n`)
  }
  writeFileSync(join(folder, 'README.md'), renderMarkdown(result))
  writeFileSync(join(folder, 'index.html'), renderHtml(result))
}
