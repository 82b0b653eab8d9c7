import { readLines } from './lines.ts'
import type { Bytes, Row } from './row.ts'

/** One JSON object on each line (https://jsonlines.org). */
export async function* readJsonLines(bytes: Bytes): AsyncGenerator<Row> {
  for await (const found of readLines(bytes)) {
    yield 'problem' in found ? found : { line: found.line, ...readObject(found.text) }
  }
}

function readObject(text: string): { cells: Map<string, string> } | { problem: string } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { problem: 'it is not JSON: one object on each line is expected' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { problem: 'it is not a JSON object' }
  }
  const cells = new Map<string, string>()
  for (const [name, member] of Object.entries(value)) {
    const cell = readMember(member)
    if (cell === undefined) return { problem: 'a member is neither text nor a list of texts' }
    cells.set(name.toLowerCase(), cell)
  }
  return { cells }
}

function readMember(member: unknown): string | undefined {
  if (member === null) return ''
  if (typeof member === 'string') return member
  if (typeof member === 'number' || typeof member === 'boolean') return String(member)
  if (!Array.isArray(member) || !member.every((item) => typeof item === 'string')) return undefined
  return member.join(' ')
}
