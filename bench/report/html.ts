import type { Result, Section } from '../benchmark.ts'
import type { Table } from '../workload.ts'
import { drawingsOf, headerOf, howToRead, howToReproduce, loadsOf } from './content.ts'
import { escapeXml as escapeHtml } from './svg.ts'

/** One page that needs nothing beside it. */
export function renderHtml(result: Result): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Postern: benchmarks</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
  caption { text-align: left; font-weight: 600; padding: .3rem 0 }
  th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; vertical-align: top }
  th, td:first-child, .figure { white-space: nowrap }
  pre, .chart { overflow-x: auto }
  svg { max-width: 100%; min-width: 600px; height: auto; display: block; margin: 1.5rem 0 }
  .failure { color: #cf222e; font-weight: 600 }
</style>
<h1>Benchmarks</h1>
${paragraphs(headerOf(result))}
${paragraphs(howToRead)}
<pre>${escapeHtml(howToReproduce.join('\n'))}</pre>
${result.sections.map(renderSection).join('\n')}
</html>
`
}

function renderSection(section: Section): string {
  const { name, about, findings, failure } = section
  const { subjects = [], tables = [], notes = [], missing = [] } = findings ?? {}
  return [
    `<h2 id="${name}">${name}</h2>`,
    paragraphs([about]),
    failure === undefined ? '' : `<p class="failure">Failed: ${escapeHtml(failure)}</p>`,
    ...drawingsOf(section).map(({ svg }) => `<div class="chart">${svg}</div>`),
    ...tables.map(renderTable),
    subjects.length === 0
      ? ''
      : renderTable({
          title: 'Who was there',
          columns: ['subject', 'token / sender', 'version', 'what it does'],
          rows: subjects.map((each) => [each.name, each.checks, each.version, each.about]),
        }),
    paragraphs(missing.map((each) => `Not there: ${each.name} (${each.reason}).`)),
    paragraphs([...notes, ...loadsOf(section)]),
  ].join('\n')
}

function renderTable({ title, columns, rows }: Table): string {
  const cell = (tag: 'th' | 'td', text: string) =>
    `<${tag}${/^[\d–]/.test(text) ? ' class="figure"' : ''}>${escapeHtml(text)}</${tag}>`
  const cells = (tag: 'th' | 'td', row: readonly string[]) =>
    `<tr>${row.map((text) => cell(tag, text)).join('')}</tr>`
  return `<table><caption>${escapeHtml(title)}</caption>
<thead>${cells('th', columns)}</thead>
<tbody>${rows.map((row) => cells('td', row)).join('\n')}</tbody></table>`
}

function paragraphs(lines: readonly string[]): string {
  return lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('\n')
}
