import stringWidth from 'string-width'
import type { Terminal } from './command.ts'
import { printable } from './printable.ts'

export interface Column {
  readonly title: string
  /** It gives way where a terminal is too narrow. */
  readonly shrinks?: boolean
}

/** A list for people. */
export interface Table {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly string[])[]
  /** What to do where there is nothing to show. */
  readonly empty: string
  /** How to see what comes after. */
  readonly more?: string | undefined
}

const gap = '  '
/** A column does not become narrower than this. */
const narrowest = 8

/**
 * A table that fits the terminal: the columns that shrink do so evenly, and what is cut off shows as `…`. Where there is
 * no terminal nothing is cut, for whoever reads it may need it.
 */
export function renderTable({ columns, rows, empty, more }: Table, terminal?: Terminal): string {
  if (rows.length === 0) return empty
  const cells = rows.map((row) => row.map(printable))
  const widths = columns.map(({ title }, i) => widest([title, ...cells.map((row) => row[i] ?? '')]))
  const fitting = terminal === undefined ? widths : fitted(columns, widths, terminal.width)
  const head = line(
    columns.map(({ title }) => title),
    fitting,
  )
  return [
    terminal === undefined ? head : terminal.bold(head),
    ...cells.map((row) => line(row, fitting)),
    ...(more === undefined ? [] : [more]),
  ].join('\n')
}

/** Rows without a head, each column as wide as its widest cell. */
export function alignRows(rows: readonly (readonly string[])[]): string {
  const count = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, i) => widest(rows.map((row) => row[i] ?? '')))
  return rows.map((row) => line(row, widths)).join('\n')
}

function fitted(columns: readonly Column[], widths: readonly number[], available: number) {
  const fitting = [...widths]
  const total = () => fitting.reduce((sum, width) => sum + width, gap.length * (widths.length - 1))
  while (total() > available) {
    const shrinking = columns.map(({ shrinks }, i) => (shrinks ? (fitting[i] ?? 0) : 0))
    const most = Math.max(...shrinking)
    if (most <= narrowest) break
    fitting[shrinking.indexOf(most)] = most - 1
  }
  return fitting
}

function line(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, i) => pad(cut(cell, widths[i] ?? 0), widths[i] ?? 0))
    .join(gap)
    .trimEnd()
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)))
}

const graphemes = new Intl.Segmenter()

function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  if (isPlain(text)) return `${text.slice(0, width - 1)}…`
  let [kept, used] = ['', 1]
  for (const { segment } of graphemes.segment(text)) {
    used += widthOf(segment)
    if (used > width) break
    kept += segment
  }
  return `${kept}…`
}

function widthOf(text: string): number {
  return isPlain(text) ? text.length : stringWidth(text)
}

/** One column for each character: almost every cell, of which there may be some hundred thousand. */
function isPlain(text: string): boolean {
  return /^[ -~]*$/.test(text)
}

function widest(texts: readonly string[]): number {
  return texts.reduce((width, text) => Math.max(width, widthOf(text)), 0)
}
