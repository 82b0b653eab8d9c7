import type { Result, Section } from '../benchmark.ts'
import type { Table } from '../workload.ts'
import { drawingsOf, headerOf, howToRead, howToReproduce, loadsOf } from './content.ts'

export function renderMarkdown(result: Result): string {
  return `${[
    '<!-- Written by `npm run bench`. -->',
    '# Benchmarks',
    headerOf(result).join('\n'),
    ...howToRead,
    `\`\`\`\n${howToReproduce.join('\n')}\n\`\`\``,
    ...result.sections.flatMap(renderSection),
  ].join('\n\n')}\n`
}

function renderSection(section: Section): string[] {
  const { name, about, findings, failure } = section
  const { subjects = [], tables = [], notes = [], missing = [] } = findings ?? {}
  return [
    `## ${name}`,
    about,
    ...(failure === undefined ? [] : [`**Failed:** ${failure}`]),
    ...drawingsOf(section).map(({ title, file }) => `![${title}](${file})`),
    ...tables.map(renderTable),
    ...(subjects.length === 0
      ? []
      : [
          renderTable({
            title: 'Who was there',
            columns: ['subject', 'token / sender', 'version', 'what it does'],
            rows: subjects.map((each) => [each.name, each.checks, each.version, each.about]),
          }),
        ]),
    ...missing.map((each) => `Not there: ${each.name} (${each.reason}).`),
    ...notes,
    ...loadsOf(section),
  ]
}

function renderTable({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = `|${' --- |'.repeat(columns.length)}`
  return [`**${title}**`, '', line(columns), rule, ...rows.map(line)].join('\n')
}
