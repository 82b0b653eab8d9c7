import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { importColumns } from '../../src/core/imported-credential.ts'
import { createWorkplace } from '../helpers/program.ts'

/** docs/import.md, done as it says: its files, its commands, and what they answer. */

const page = readFileSync('docs/import.md', 'utf8')
const blocks = [...page.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(
  ([, language = '', file = '', content = '']) => ({ language, file, content }),
)

test('the examples answer what they show', async () => {
  const place = createWorkplace()
  try {
    await place.json('account', 'create', 'Acme')
    for (const name of ['acme.test', 'acme.example']) await place.json('domain', 'add', name)
    let commands = 0
    for (const { language, file, content } of blocks) {
      if (file !== '') writeFileSync(join(place.folder, file), content)
      if (language !== 'console') continue
      for (const [, command = '', answer] of content.matchAll(
        /^\$ postern (.*)\n((?:[^$].*\n)*)/gm,
      )) {
        commands += 1
        const { stdout, stderr } = await place.postern(...command.split(' '))
        expect({ command, stdout, stderr }).toEqual({ command, stdout: answer, stderr: '' })
      }
    }
    expect(commands).toBeGreaterThan(5)
  } finally {
    await place.remove()
  }
}, 60_000)

test('every column is explained', () => {
  for (const column of importColumns) expect(page).toMatch(new RegExp(`^\\| \`${column}\``, 'm'))
})
