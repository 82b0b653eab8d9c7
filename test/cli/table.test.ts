import { expect, test } from 'vitest'
import { renderTable } from '../../src/cli/table.ts'
import { createCommandLine, settingsIn } from '../helpers/command-line.ts'
import { createWorkplace } from '../helpers/program.ts'

const columns = [{ title: 'ID' }, { title: 'NAME', shrinks: true }, { title: 'ENDS' }]
const terminal = (width: number) => ({ width, bold: (text: string) => `<${text}>` })
const table = (...names: string[]) => ({
  columns,
  rows: names.map((name, i) => [String(i + 1), name, 'never']),
  empty: 'None yet',
})

test('columns are as wide as what is in them', () => {
  expect(renderTable(table('a', 'longer'))).toBe(
    ['ID  NAME    ENDS', '1   a       never', '2   longer  never'].join('\n'),
  )
})

test('what two columns of a terminal show is counted as two', () => {
  const lines = renderTable(table('東京', 'caf\u0065\u0301', '👩‍👩‍👧')).split('\n')
  expect(lines).toEqual([
    'ID  NAME  ENDS',
    '1   東京  never',
    '2   caf\u0065\u0301  never',
    '3   👩‍👩‍👧    never',
  ])
})

test('a name gives way to a narrow terminal, and only there', () => {
  const long = table('a name that is far too long', '東京都東京都東京都')
  expect(renderTable(long, terminal(24))).toBe(
    ['<ID  NAME           ENDS>', '1   a name that …  never', '2   東京都東京都…  never'].join(
      '\n',
    ),
  )
  expect(renderTable(long)).toContain('a name that is far too long')
})

test('ids and ends are never cut, however narrow the terminal', () => {
  const lines = renderTable(table('a name that is far too long'), terminal(5)).split('\n')
  expect(lines[1]).toBe('1   a name …  never')
})

test('a name does not get to move the cursor or to turn the line around', () => {
  expect(renderTable(table('a\u001b[2J\u202eb'))).toContain('a\ufffd[2J\ufffdb')
})

test('an empty list says what to do', () => {
  expect(renderTable(table())).toBe('None yet')
})

test('on a terminal the head stands out, elsewhere nothing is added', async () => {
  const place = createWorkplace()
  const settings = settingsIn(place.folder)
  try {
    await createCommandLine(settings)('account', 'create', 'Acme')
    const onTerminal = await createCommandLine(settings, { terminal: terminal(80) })(
      ...['account', 'list'],
    )
    expect(onTerminal.stdout).toBe('<ID  NAME>\n1   Acme\n')
    const inPipe = await place.postern('account', 'list')
    expect(inPipe.stdout).toBe('ID  NAME\n1   Acme\n')
    place.environment.FORCE_COLOR = '1'
    expect((await place.postern('account', 'list')).stdout).toBe(inPipe.stdout)
  } finally {
    await place.remove()
  }
})
