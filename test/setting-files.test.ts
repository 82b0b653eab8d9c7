import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readHeadersFile } from '../src/setting-files.ts'

function headersFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'headers')
  writeFileSync(file, text)
  return file
}

test('the fields for the Email API are read line by line', () => {
  const file = headersFile('# of the Email API\nAuthorization: Bearer x\n\nHost: api.internal\r\n')
  expect(readHeadersFile(file)).toEqual([
    ['Authorization', 'Bearer x'],
    ['Host', 'api.internal'],
  ])
})

test.each(['Content-Length: 1', 'transfer-encoding: chunked', 'CONNECTION: close', 'Expect: x'])(
  'what only the gate can say of a request is refused at the start: %s',
  (line) => {
    const file = headersFile(`X-Key: secret\n${line}\n`)
    const name = line.slice(0, line.indexOf(':'))
    expect(() => readHeadersFile(file)).toThrow(
      new RegExp(`^POSTERN_UPSTREAM_HTTP_HEADERS_FILE cannot be used: .* must not set ${name}`),
    )
    expect(() => readHeadersFile(file)).not.toThrow(/secret/)
  },
)
