import { describe, expect, test } from 'vitest'
import { type Format, peek, readRows, recognise } from '../../src/cli/import-formats/format.ts'
import { readLines } from '../../src/cli/import-formats/lines.ts'
import { maxRecordBytes, type Row } from '../../src/cli/import-formats/row.ts'
import { heldBytes } from '../helpers/held-bytes.ts'

/** In pieces of this size, so that every sequence of bytes is cut somewhere. */
async function* inPieces(content: string | Buffer, size: number) {
  const bytes = Buffer.from(content)
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

async function read(
  content: string | Buffer,
  { format, ignore = [] }: { format?: Format; ignore?: string[] } = {},
) {
  const answers = await Promise.all(
    [1, 3, 100_000].map(async (size) => {
      const { head, whole } = await peek(inPieces(content, size))
      const recognised = recognise(head, format)
      if ('problem' in recognised) return recognised
      const rows: Row[] = []
      for await (const row of readRows(whole, recognised.layout, new Set(ignore))) rows.push(row)
      return { format: recognised.layout.format, rows: rows.map(shown) }
    }),
  )
  const [first, ...others] = answers
  for (const other of others) expect(other).toEqual(first)
  return first
}

function shown(row: Row) {
  return 'cells' in row ? [row.line, Object.fromEntries(row.cells)] : row
}

describe('CSV', () => {
  test('with a mark at its start, CRLF, doubled quotes, a comma and a line break in quotes, no end of line', async () => {
    const content = '\uFEFFName,token\r\n"a ""b"", c",t1\r\n"two\r\nlines",t2\r\n\r\nü,t3'
    expect(await read(content)).toEqual({
      format: 'csv',
      rows: [
        [2, { name: 'a "b", c', token: 't1' }],
        [3, { name: 'two\r\nlines', token: 't2' }],
        [6, { name: 'ü', token: 't3' }],
      ],
    })
  })

  test('with ends of line of both kinds', async () => {
    expect(await read('name,token\r\na,b\nc,d\r\n')).toMatchObject({
      rows: [
        [2, { name: 'a', token: 'b' }],
        [3, { name: 'c', token: 'd' }],
      ],
    })
  })

  test('a row with another number of columns is a problem of its own', async () => {
    expect(await read('name,token\na\nb,c,d\ne,f\n')).toMatchObject({
      rows: [
        { line: 2, problem: 'it has 1 columns, and the header 2' },
        { line: 3, problem: 'it has 3 columns, and the header 2' },
        [4, { name: 'e', token: 'f' }],
      ],
    })
  })

  test.each([
    ['in the middle of a cell', 'qz"c,d\ne,f\n', 3],
    ['that is not doubled', '"qz"c,d\ne,f\n', 3],
    ['that is not closed', '"qz,c\nd,e\n', 4],
  ])('after a quote %s nothing more is read, and what stood before is', async (_, rest, line) => {
    const outcome = await read(`name,token\na,t1\n${rest}`)
    expect(outcome).toMatchObject({
      rows: [[2, { name: 'a', token: 't1' }], { line, problem: expect.any(String), stops: true }],
    })
    expect(JSON.stringify(outcome)).not.toContain('qz')
  })

  test('bytes that are not UTF-8 are a problem of their row', async () => {
    const content = Buffer.concat([
      Buffer.from('name,token\n'),
      Buffer.from([0xe4, 0x2c, 0x61]),
      Buffer.from('\nb,c\n'),
    ])
    expect(await read(content)).toMatchObject({
      rows: [{ line: 2, problem: 'it is not UTF-8' }, [3, { name: 'b', token: 'c' }]],
    })
  })

  test('digest and domain are other names of sha256 and domains', async () => {
    expect(await read('digest,domain\na,b\n')).toMatchObject({
      rows: [[2, { sha256: 'a', domains: 'b' }]],
    })
  })

  test.each([
    ['that is not known', 'name,password\na,b\n', '"password" is not known'],
    ['twice', 'name,name\na,b\n', 'twice'],
    ['twice, under two names', 'domain,domains\na,b\n', 'twice'],
  ])('a column %s ends it before anything is taken', async (_, content, problem) => {
    expect(await read(content)).toMatchObject({
      rows: [{ line: 2, problem: expect.stringContaining(problem), stops: true }],
    })
  })

  test('a column that is to be ignored is left out', async () => {
    expect(await read('name,password\na,b\n', { ignore: ['password'] })).toMatchObject({
      rows: [[2, { name: 'a' }]],
    })
  })

  test('without a header nothing is taken, and the credential in its place is not repeated', async () => {
    const content = 'shop,s3cret-s3cret-s3cret\nb,c\n'
    for (const format of ['csv', 'postal'] as const) {
      const outcome = await read(content, { format })
      expect(outcome).toEqual({ problem: expect.stringContaining('no header') })
    }
    const halfOfOne = await read(`name,s3cret-s3cret-s3cret\nb,c\n`)
    expect(halfOfOne).toMatchObject({
      rows: [{ problem: expect.stringContaining('one of its columns') }],
    })
    expect(JSON.stringify(halfOfOne)).not.toContain('s3cret')
  })
})

describe('JSON lines', () => {
  test('of texts, lists of texts, numbers and nulls', async () => {
    const content = [
      '{"name":"a","domains":["b.test","c.test:viewer"],"token":null}',
      '',
      '{"NAME":1}\r',
    ].join('\n')
    expect(await read(content)).toEqual({
      format: 'jsonl',
      rows: [
        [1, { name: 'a', domains: 'b.test c.test:viewer', token: '' }],
        [3, { name: '1' }],
      ],
    })
  })

  test('a line that is none is a problem of its own', async () => {
    expect(
      await read('{"name":"a"}\n{"name":\n[1]\n{"name":{}}\n{"x":1}\n{"name":"b"}'),
    ).toMatchObject({
      rows: [
        [1, { name: 'a' }],
        { line: 2, problem: expect.stringContaining('not JSON') },
        { line: 3, problem: expect.stringContaining('not a JSON object') },
        { line: 4, problem: expect.stringContaining('neither text') },
        { line: 5, problem: expect.stringContaining('"x" is not known') },
        [6, { name: 'b' }],
      ],
    })
  })
})

describe('htpasswd', () => {
  const taken = (name: string, cell: object) => ({ name, ...cell })
  test.each([
    ['bob:a-plain-password', taken('bob', { token: 'a-plain-password' })],
    ['bob:{PLAIN}a-plain-password:comment', taken('bob', { token: 'a-plain-password' })],
    ['bob:{SHA256}abc=', taken('bob', { sha256: 'abc=' })],
    ['bob:{sha256.hex}abc', taken('bob', { sha256: 'abc' })],
  ])('%s is taken', async (line, cells) => {
    expect(await read(`# users\n${line}\n`)).toEqual({ format: 'htpasswd', rows: [[2, cells]] })
  })

  test.each([
    ['bob:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=', 'SHA-1'],
    ['bob:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/', 'salted'],
    ['bob:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC', 'salted'],
    ['bob:$5$saltsalt$abc', 'salted'],
    ['bob:rqXexS6ZhobKA', 'crypt'],
    ['bob:{SSHA256}abc=', 'another kind'],
    ['bob:{MD5-CRYPT}$1$abc', 'another kind'],
    ['bob', 'USER:SECRET'],
    [':secret', 'USER:SECRET'],
  ])('%s cannot be taken, and it is said why, without repeating it', async (line, why) => {
    const outcome = await read(`${line}\n`, { format: 'htpasswd' })
    expect(outcome).toMatchObject({ rows: [{ line: 1, problem: expect.stringContaining(why) }] })
    expect(JSON.stringify(outcome)).not.toContain(line.slice(5) || 'nothing')
  })
})

describe('Postal', () => {
  const header = 'id,server_id,key,type,name,options,last_used_at,created_at,updated_at,hold,uuid'
  const row = (type: string, hold: string) =>
    `7,1,k3y,${type},shop,,,2024-03-01 12:00:00,,${hold},u`
  const taken = { name: 'shop', token: 'k3y', domains: '', created_at: '2024-03-01T12:00:00Z' }

  test('credentials for SMTP and for the API are taken, whether held or not is not guessed', async () => {
    const rows = [
      row('SMTP', '0'),
      row('API', ''),
      row('SMTP-IP', '0'),
      row('API', '1'),
      row('API', 'no'),
      row('FTP', '0'),
    ]
    expect(await read(`${header}\n${rows.join('\n')}\n`)).toEqual({
      format: 'postal',
      rows: [
        [2, taken],
        [3, taken],
        { line: 4, problem: expect.stringContaining('not a secret') },
        { line: 5, problem: expect.stringContaining('holds its messages') },
        { line: 6, problem: expect.stringContaining('hold') },
        { line: 7, problem: expect.stringContaining('type') },
      ],
    })
  })

  test('as mysql --batch writes them', async () => {
    const content =
      'key\ttype\tname\thold\tdomains\nk3y\tAPI\ta\\tb\\\\n\t0\ta.test b.test\nk4y\tAPI\tc\t0\tNULL\n'
    expect(await read(content)).toEqual({
      format: 'postal',
      rows: [
        [2, { name: 'a\tb\\n', token: 'k3y', domains: 'a.test b.test', created_at: '' }],
        [3, { name: 'c', token: 'k4y', domains: '', created_at: '' }],
      ],
    })
  })

  test('as JSON lines', async () => {
    expect(await read('{"key":"k3y","type":"SMTP","name":"shop","hold":0,"server_id":1}')).toEqual({
      format: 'postal',
      rows: [[1, { ...taken, created_at: '' }]],
    })
  })
})

test.each([
  ['UTF-16', Buffer.from('\uFEFFname,token\n', 'utf16le'), 'UTF-16'],
  ['one JSON array', '[{"name":"a"}]', 'jq'],
  ['nothing that is known', 'hello world\n', 'cannot be told'],
  ['nothing', '', 'cannot be told'],
])('%s is not taken for anything', async (_, content, problem) => {
  expect(await read(content)).toEqual({ problem: expect.stringContaining(problem) })
})

test('a line of a gigabyte is a problem, is not held, and the next one is read', async () => {
  const piece = Buffer.alloc(65_536, 'x')
  const before = heldBytes()
  let most = 0
  async function* bytes() {
    for (let i = 0; i < 16_384; i++) {
      yield piece
      if (i % 4_096 === 0) most = Math.max(most, heldBytes() - before)
    }
    yield Buffer.from('\nnext\n')
  }
  const lines = await Array.fromAsync(readLines(bytes()))
  expect(lines).toEqual([
    { line: 1, problem: `it is longer than ${maxRecordBytes} bytes` },
    { line: 2, text: 'next' },
  ])
  expect(most).toBeLessThan(8 * 1_048_576)
})

test('a CSV record that does not end is given up at its limit', async () => {
  let pieces = 0
  async function* bytes() {
    yield Buffer.from('name,token\na,b\n"')
    for (; pieces < 10_000; pieces++) yield Buffer.alloc(65_536, 'x')
  }
  const rows: Row[] = []
  const layout = { format: 'csv', container: 'csv' } as const
  for await (const row of readRows(bytes(), layout, new Set())) rows.push(row)
  expect(rows.map(shown)).toEqual([
    [2, { name: 'a', token: 'b' }],
    { line: 3, problem: expect.stringContaining('a quote not closed'), stops: true },
  ])
  expect(pieces).toBeLessThan(20)
})
