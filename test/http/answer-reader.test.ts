import { describe, expect, test } from 'vitest'
import { createAnswerReader } from '../../middleware/answer-reader.ts'
import { byteByByte, type Reading, type ToldAnswer, tellAnswer } from '../helpers/told-answer.ts'

/** Answers of good, careless and hostile upstreams, each read in one piece and byte by byte. */

const empty = 'Content-Length: 0'
const chunked = 'Transfer-Encoding: chunked'

function head(statusLine: string, ...fields: readonly string[]): string {
  return `${[statusLine, ...fields].join('\r\n')}\r\n\r\n`
}
const ok = (...fields: readonly string[]) => head('HTTP/1.1 200 OK', ...fields)

/** However it is cut, it is told alike. */
function read(text: string, reading?: Reading): ToldAnswer {
  const told = tellAnswer([text], reading)
  const slowly = tellAnswer(byteByByte(text), reading)
  // Which of two problems is seen first may depend on how the bytes come.
  expect({ ...slowly, problem: slowly.problem === undefined }).toEqual({
    ...told,
    problem: told.problem === undefined,
  })
  return told
}

function expectWhole(text: string, reading?: Reading): ToldAnswer {
  const told = read(text, reading)
  expect(told).toMatchObject({ problem: undefined, isWhole: true })
  return told
}

function expectProblem(text: string, problem: RegExp, reading?: Reading): ToldAnswer {
  const told = read(text, reading)
  expect(told.problem).toMatch(problem)
  expect(told.isWhole).toBe(false)
  return told
}

describe('the status line', () => {
  test.each([
    ['HTTP/1.1 200 OK', 200],
    ['HTTP/1.1 200 ', 200],
    ['HTTP/1.1 200', 200],
    ['HTTP/1.0 200 OK', 200],
    ['HTTP/1.1 202 Taken, and on its way', 202],
    ['HTTP/1.1 429 Z\xfcrich\tsays no', 429],
    ['HTTP/1.1 599 x', 599],
    ['HTTP/1.1 999 x', 999],
  ])('%j is taken', (line, status) => {
    expect(expectWhole(head(line, empty)).status).toBe(status)
  })

  test.each([
    ...['HTTP/1.2 200 OK', 'HTTP/2 200 OK', 'HTTP/2.0 200 OK', 'HTTP/0.9 200 OK', 'HTTP/11 200 OK'],
    ...['http/1.1 200 OK', 'HTTPS/1.1 200 OK', 'ICY 200 OK', ' HTTP/1.1 200 OK', 'X'],
    ...['HTTP/1.1  200 OK', 'HTTP/1.1\t200 OK', 'HTTP/1.1200 OK', 'HTTP/1.1 200\tOK'],
    ...['HTTP/1.1 20 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1 099 x', 'HTTP/1.1 000 x', 'HTTP/1.1 +200'],
    ...['HTTP/1.1 2x0 OK', 'HTTP/1.1 -20 OK', 'HTTP/1.1 200OK', 'HTTP/1.1', 'HTTP/1.1 ', ''],
    ...['HTTP/1.1 200 \0', 'HTTP/1.1 200 a\rb', 'HTTP/1.1 200 a\nb', 'HTTP/1.1 200 \x7f'],
    ...['220 mail.test ESMTP', 'GET / HTTP/1.1', '{"success":true}', '\x16\x03\x01', '\r\n', '\n'],
  ])('%j is none', (line) => {
    const told = expectProblem(head(line, empty), /^the upstream sent no status line$/)
    expect(told.status).toBe(0)
  })

  test.each(['220 mail.test', '\x15\x03\x01\x00', 'HTTP/2', 'X', '\n', 'HTTP/1.1 200 OK\n'])(
    'that is none (%j) is told before more has come',
    (start) => {
      expectProblem(start, /no status line/)
    },
  )

  test('of an answer without a field is enough', () => {
    expect(expectWhole('HTTP/1.1 204 No Content\r\n\r\n')).toMatchObject({
      status: 204,
      fields: [],
    })
  })
})

describe('the fields', () => {
  test('come in their order, with names in lower case and values as they are', () => {
    const told = expectWhole(
      ok(
        ...['Content-Type: application/json', 'SET-COOKIE: a=B', 'Set-Cookie: c=d', 'x-empty:'],
        ...['X-Spaces: \t a  b \t', 'X-Eight: \xa0\xfc\xa0', 'X-Colons: a:b: c', 'X-Tight:x'],
        ...['__proto__: x', "!#$%&'*+-.^_`|~09: x", empty],
      ),
    )
    expect(told.fields).toEqual([
      ...['content-type: application/json', 'set-cookie: a=B', 'set-cookie: c=d', 'x-empty: '],
      ...['x-spaces: a  b', 'x-eight: \xa0\xfc\xa0', 'x-colons: a:b: c', 'x-tight: x'],
      ...['__proto__: x', "!#$%&'*+-.^_`|~09: x", 'content-length: 0'],
    ])
  })

  test.each([
    ['without a colon', 'X'],
    ['without a name', ': x'],
    ['with a space before the colon', 'X : y'],
    ['with a tab before the colon', 'X\t: y'],
    ['that a space begins', ' X: y'],
    ['that a tab begins', '\tX: y'],
    ['that goes on in the next line', 'X: a\r\n b'],
    ['that goes on in the next line behind a tab', 'X: a\r\n\tb'],
    ['that goes on with nothing', 'X: a\r\n '],
    ['with a bare LF', 'X: a\nY: b'],
    ['with a bare CR', 'X: a\rY: b'],
    ['with a CR before its end', 'X: a\r'],
    ['that is a bare LF', '\n'],
    ['with NUL in its value', 'X: \0'],
    ['with NUL in its name', 'X\0: y'],
    ['with a control character', 'X: \x1b[2J'],
    ['with DEL', 'X: \x7f'],
    ['with a name of eight bits', 'X\xfc: y'],
    ['with a slash in its name', 'X/Y: z'],
    ['with brackets around its name', '(X): y'],
    ['with a name in quotes', '"X": y'],
  ])('%s are refused', (_name, line) => {
    expectProblem(ok(line, empty), /field of the answer is malformed/)
    expectProblem(ok(empty, line), /field of the answer is malformed/)
  })

  test.each([
    ['with bare LF for every end of line', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    ['with bare CR for every end of line', 'HTTP/1.1 200 OK\rContent-Length: 0\r\r'],
    ['with LF CR', 'HTTP/1.1 200 OK\n\rContent-Length: 0\n\r\n\r'],
  ])('%s make no answer', (_name, text) => {
    expect(read(text, { closes: true })).toMatchObject({ status: 0, isWhole: false })
    expectProblem(text, /./, { closes: true })
  })
})

describe('the length of the content', () => {
  test.each([
    ['Content-Length: 5', 'hello'],
    ['content-length:5', 'hello'],
    ['CONTENT-LENGTH: \t 5 \t', 'hello'],
    ['Content-Length: 005', 'hello'],
    ['Content-Length: 0', ''],
  ])('is taken from %j', (field, content) => {
    expect(expectWhole(ok(field) + content).content).toBe(content)
  })

  test('may be anything that is counted exactly, and is waited for', () => {
    const told = read(`${ok('Content-Length: 999999999999999')}hello`)
    expect(told).toMatchObject({
      status: 200,
      isWhole: false,
      problem: undefined,
      content: 'hello',
    })
  })

  test.each([
    ...[
      '',
      '-1',
      '+5',
      ' ',
      'x',
      '5x',
      '0x5',
      '5.0',
      '5e0',
      '5,5',
      '5, 5',
      '5,',
      ',5',
      '5 5',
      '"5"',
    ],
    ...['1000000000000000', '18446744073709551621', '9'.repeat(400), '\xb2', '\xa05'],
  ])('%j is none', (value) => {
    expectProblem(`${ok(`Content-Length: ${value}`)}hello`, /Content-Length .* is malformed/)
  })

  test.each([
    ['twice alike', ['Content-Length: 5', 'Content-Length: 5']],
    ['twice, in two ways', ['Content-Length: 5', 'Content-Length: 4']],
    ['twice, none both times', ['Content-Length: 0', 'content-length: 0']],
    ['again behind others', ['Content-Length: 5', 'X: y', 'CONTENT-LENGTH: 05']],
  ])('said %s is refused', (_name, fields) => {
    expectProblem(`${ok(...fields)}hello`, /Content-Length .* is malformed/)
  })

  test.each([
    ['before', ['Content-Length: 5', chunked]],
    ['behind', [chunked, 'Content-Length: 5']],
    ['of nothing, before', ['Content-Length: 0', chunked]],
    ['of nothing, behind', [chunked, 'Content-Length: 0']],
  ])('with a transfer coding is refused (%s)', (_name, fields) => {
    expectProblem(`${ok(...fields)}0\r\n\r\n`, /both Content-Length and Transfer-Encoding/)
  })

  test('is that of bytes, not characters', () => {
    expect(expectWhole(`${ok('Content-Length: 2')}\xc3\xbc`).content).toBe('\xc3\xbc')
  })
})

describe('a transfer coding', () => {
  test.each(['chunked', 'Chunked', 'CHUNKED', ' \tchunked \t'])('%j is read', (value) => {
    const told = expectWhole(`${ok(`Transfer-Encoding: ${value}`)}5\r\nhello\r\n0\r\n\r\n`)
    expect(told.content).toBe('hello')
  })

  test.each([
    ...['gzip', 'gzip, chunked', 'chunked, gzip', 'chunked, chunked', 'chunked,', ',chunked'],
    ...['identity', 'identity, chunked', 'chunked;q=1', '"chunked"', 'xchunked', 'chunked\x0b', ''],
    ...['chunke', 'chun\tked', '\xa0chunked'],
  ])('%j is refused', (value) => {
    const fields = [`Transfer-Encoding: ${value}`]
    expectProblem(`${ok(...fields)}0\r\n\r\n`, /Transfer-Encoding .* is not supported|malformed/)
  })

  test('said twice is refused', () => {
    expectProblem(`${ok(chunked, chunked)}0\r\n\r\n`, /Transfer-Encoding/)
    expectProblem(`${ok('Transfer-Encoding: gzip', chunked)}0\r\n\r\n`, /Transfer-Encoding/)
  })

  test('in an answer of HTTP/1.0 is refused', () => {
    expectProblem(`${head('HTTP/1.0 200 OK', chunked)}0\r\n\r\n`, /Transfer-Encoding/)
  })
})

describe('chunks', () => {
  const whole = ok(chunked)

  test.each([
    ['one', '5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['several', '1\r\nh\r\n3\r\nell\r\n1\r\no\r\n0\r\n\r\n', 'hello'],
    ['none', '0\r\n\r\n', ''],
    [
      'sizes in both cases',
      `a\r\n${'x'.repeat(10)}\r\nA\r\n${'y'.repeat(10)}\r\n0\r\n\r\n`,
      /^x+y+$/,
    ],
    ['sizes with zeros before', '0005\r\nhello\r\n000\r\n\r\n', 'hello'],
    ['extensions', '5;a=b;c="d e"\r\nhello\r\n0;last\r\n\r\n', 'hello'],
    ['an extension in quotes', '5;a="\\"\t\xfc;"\r\nhello\r\n0;a;b;c=d\r\n\r\n', 'hello'],
    ['ends of chunks inside', '7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n\r\n'],
    ['a head inside', `${(15).toString(16)}\r\nHTTP/1.1 500 x\r\r\n0\r\n\r\n`, 'HTTP/1.1 500 x\r'],
    ['trailers', '5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n', 'hello'],
  ])('are put together: %s', (_name, text, content) => {
    const told = expectWhole(whole + text)
    expect(told.content).toMatch(content)
    if (typeof content === 'string') expect(told.content).toBe(content)
    expect(told.fields).toEqual(['transfer-encoding: chunked'])
  })

  test.each([
    ...['', '+5', '-5', ' 5', '5 ', '\t5', '0x5', 'x', '5x', 'g', '5,5', '5 ;a', '"5"', '5.', '\0'],
    ...['fffffffffffff', '10000000000000005', '0000000000005', '5\n', '5;a\nb', '5;\0', '5;\x7f'],
    ...[
      '\n5',
      '5\r',
      '\xb2',
      '5;',
      '5;;a',
      '5; a',
      '5;a =b',
      '5;a=',
      '5;a="',
      '5;a="b"c',
      '5;\xfc',
    ],
    ...['5;a="\n"', '5;a="\\"'],
  ])('of the size %j are refused', (size) => {
    const told = expectProblem(`${whole}${size}\r\nhello\r\n0\r\n\r\n`, /size of a chunk/)
    expect(told.content).toBe('')
  })

  test('with bare LF behind their size are refused', () => {
    expectProblem(`${whole}5\nhello\n0\n\n`, /./, { closes: true })
  })

  test.each([
    ['nothing', '5\r\nhello0\r\n\r\n'],
    ['a byte too many', '5\r\nhellox\r\n0\r\n\r\n'],
    ['a bare LF', '5\r\nhello\n0\r\n\r\n'],
    ['another byte and LF', '5\r\nhellox\n0\r\n\r\n'],
    ['a bare CR', '5\r\nhello\r0\r\n\r\n'],
    ['CR CR LF', '5\r\nhello\r\r\n0\r\n\r\n'],
    ['a space', '5\r\nhello \r\n0\r\n\r\n'],
  ])('with %s behind them are refused', (_name, text) => {
    const told = expectProblem(whole + text, /a chunk is longer than its size/)
    expect(told.content).toBe('hello')
  })

  test('with extensions of a thousand bytes are read, and with endless ones refused', () => {
    const line = (length: number) => `5;${'x'.repeat(length - 2)}\r\nhello\r\n0\r\n\r\n`
    expect(expectWhole(whole + line(1_024)).content).toBe('hello')
    expectProblem(whole + line(1_025), /line of the answer is too long/)
    expectProblem(`${whole}5;${'x'.repeat(2_000)}`, /line of the answer is too long/)
    expectProblem(whole + '0'.repeat(2_000), /line of the answer is too long/)
  })

  test('so large that they never come whole are waited for', () => {
    expect(read(`${whole}ffffffffffff\r\nhello`)).toMatchObject({
      content: 'hello',
      isWhole: false,
      problem: undefined,
    })
  })

  test('each begin anew: many long extensions are no long head', () => {
    const one = `1;${'x'.repeat(1_000)}\r\na\r\n`
    expect(expectWhole(`${whole}${one.repeat(40)}0\r\n\r\n`).content).toBe('a'.repeat(40))
  })
})

describe('a trailer', () => {
  const last = `${ok(chunked)}5\r\nhello\r\n0\r\n`

  test('tells nothing, whatever its fields are', () => {
    const told = expectWhole(
      `${last}Content-Length: 99\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n`,
    )
    expect(told).toMatchObject({ content: 'hello', fields: ['transfer-encoding: chunked'] })
    expect(told.reusableSeconds).toBeGreaterThan(0)
  })

  test.each(['X', ': y', 'X : y', ' X: y', 'X: a\r\n b', 'X: a\nb', 'X: \0', 'X: a\rb', '\n'])(
    'with the line %j is refused',
    (line) => {
      expectProblem(`${last}${line}\r\n\r\n`, /field of the answer is malformed/)
    },
  )

  test('of up to 16 KB is read, and an endless one refused', () => {
    const field = `X: ${'y'.repeat(95)}\r\n`
    expectWhole(`${last}${field.repeat(163)}\r\n`)
    expectProblem(`${last}${field.repeat(164)}\r\n`, /head of the answer is too large/)
    expectProblem(last + field.repeat(1_000), /head of the answer is too large/)
    expectProblem(`${last}X: ${'y'.repeat(20_000)}`, /too (?:large|long)/)
  })
})

describe('an interim answer', () => {
  test.each([
    ['100', 'HTTP/1.1 100 Continue\r\n\r\n'],
    ['102', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['103 with fields', 'HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n'],
    ['one that nobody knows', 'HTTP/1.1 199 x\r\n\r\n'],
    ['several', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'],
  ])('is passed over: %s', (_name, text) => {
    const told = expectWhole(`${text}${ok('Content-Length: 5')}hello`)
    expect(told).toMatchObject({ status: 200, content: 'hello' })
    expect(told.fields).toEqual(['content-length: 5'])
    expect(told.reusableSeconds).toBeGreaterThan(0)
  })

  test('says nothing of the content of the final one, or of how long the connection is kept', () => {
    const interim = 'HTTP/1.1 103 x\r\nKeep-Alive: timeout=0\r\nContent-Length: 99\r\n\r\n'
    const told = expectWhole(`${interim}${ok('Content-Length: 5')}hello`)
    expect(told.content).toBe('hello')
    expect(told.reusableSeconds).toBeGreaterThan(0)
  })

  test.each([
    ['Connection: close', 'HTTP/1.1 103 x\r\nConnection: close\r\n\r\n'],
    ['HTTP/1.0', 'HTTP/1.0 100 Continue\r\n\r\n'],
  ])('that is the last of its connection is refused: %s', (_name, interim) => {
    expectProblem(interim + ok(empty), /broke off behind an interim answer/)
  })

  test('with a malformed field is refused', () => {
    expectProblem(`HTTP/1.1 103 x\r\nX : y\r\n\r\n${ok(empty)}`, /field/)
  })

  test('is no answer: one that is all that comes is broken off', () => {
    const told = expectProblem('HTTP/1.1 100 Continue\r\n\r\n', /broke off/, { closes: true })
    expect(told.status).toBe(0)
  })

  test('that follows others without an end is refused', () => {
    const interim = 'HTTP/1.1 103 Early Hints\r\n\r\n'
    const most = Math.floor((16 * 1024 - ok(empty).length) / interim.length)
    expectWhole(interim.repeat(most) + ok(empty))
    expectProblem(interim.repeat(most + 2) + ok(empty), /head of the answer is too large/)
  })

  test.each(['HTTP/1.1 101 Switching Protocols', 'HTTP/1.0 101 x'])(
    'that switches protocols is refused: %s',
    (line) => {
      const text = head(line, 'Connection: upgrade', 'Upgrade: websocket')
      expectProblem(text + ok(empty), /protocol of its own/)
    },
  )
})

describe('the head', () => {
  test('of 16 KB is read, and of a byte more refused', () => {
    const filled = (length: number) =>
      ok(empty, `X: ${'y'.repeat(length - ok(empty, 'X: ').length)}`)
    expect(filled(16_384)).toHaveLength(16_384)
    expectWhole(filled(16_384))
    expectProblem(filled(16_385), /head of the answer is too large/)
  })

  test('that never ends is refused as soon as it is too large', () => {
    expectProblem(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(20_000)}`, /head of the answer is too large/)
    expectProblem(`HTTP/1.1 200 ${'y'.repeat(20_000)}`, /head of the answer is too large/)
    expectProblem(`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(4_000)}`, /too large/)
  })

  test('may be followed by any amount of content in the same piece', () => {
    const told = tellAnswer([`${ok('Content-Length: 100000')}${'x'.repeat(100_000)}`])
    expect(told).toMatchObject({ isWhole: true, problem: undefined })
    expect(told.content).toHaveLength(100_000)
  })
})

describe('an answer that has no content', () => {
  test.each([
    ['204', 'POST', head('HTTP/1.1 204 No Content')],
    ['304', 'GET', head('HTTP/1.1 304 Not Modified', 'ETag: "x"')],
    ['304 with the length of what was not modified', 'GET', head('HTTP/1.1 304 x', empty)],
    ['to HEAD', 'HEAD', ok()],
    ['to HEAD with the length that GET would have', 'HEAD', ok('Content-Length: 99')],
    ['to HEAD with the coding that GET would have', 'HEAD', ok(chunked)],
    ['to HEAD, of an error', 'HEAD', head('HTTP/1.1 404 x', 'Content-Length: 99')],
  ])('ends with its head: %s', (_name, method, text) => {
    const told = expectWhole(text, { method })
    expect(told.content).toBe('')
    // Some send the content of an answer to HEAD, and some do later.
    expect(told.reusableSeconds).toBe(method === 'HEAD' ? 0 : 5)
  })

  test.each([
    ['204 with a length', 'POST', head('HTTP/1.1 204 x', 'Content-Length: 5')],
    ['204 with a coding', 'POST', head('HTTP/1.1 204 x', chunked)],
    ['304 with a length', 'GET', head('HTTP/1.1 304 x', 'Content-Length: 5')],
    ['304 with a coding', 'GET', head('HTTP/1.1 304 x', chunked)],
  ])('but says that it has is the last of its connection: %s', (_name, method, text) => {
    expect(expectWhole(text, { method })).toMatchObject({ content: '', reusableSeconds: 0 })
  })

  test.each([
    ['204', 'POST', `${head('HTTP/1.1 204 x', 'Content-Length: 5')}hello`],
    ['204 in chunks', 'POST', `${head('HTTP/1.1 204 x', chunked)}5\r\nhello\r\n0\r\n\r\n`],
    ['204 without a length', 'POST', `${head('HTTP/1.1 204 x')}hello`],
    ['304', 'GET', `${head('HTTP/1.1 304 x', 'Content-Length: 5')}hello`],
    ['HEAD', 'HEAD', `${ok('Content-Length: 5')}hello`],
    ['HEAD with an answer for content', 'HEAD', `${ok('Content-Length: 99')}${ok(empty)}`],
  ])(
    'but has some tells none of it, and is the last of its connection: %s',
    (_name, method, text) => {
      expect(expectWhole(text, { method })).toMatchObject({ content: '', reusableSeconds: 0 })
    },
  )

  test('and is malformed all the same is refused', () => {
    expectProblem(ok('Content-Length: x'), /Content-Length/, { method: 'HEAD' })
    expectProblem(head('HTTP/1.1 204 x', 'Content-Length: 5', chunked), /both/)
  })
})

describe('content that the end of the connection ends', () => {
  test.each([
    ['of HTTP/1.1', ok(), 'hello'],
    ['of HTTP/1.0', head('HTTP/1.0 200 OK'), 'hello'],
    ['that is empty', ok(), ''],
    ['that looks like another answer', ok('Connection: keep-alive'), ok(empty)],
  ])('is whole then, and not before: %s', (_name, start, content) => {
    expect(read(start + content)).toMatchObject({ status: 200, isWhole: false, content })
    expect(expectWhole(start + content, { closes: true })).toMatchObject({
      content,
      reusableSeconds: 0,
    })
  })
})

describe('a connection that is closed too early', () => {
  test.each([
    ['before the first byte', ''],
    ['in the status line', 'HTTP/1.1 20'],
    ['behind the status line', 'HTTP/1.1 200 OK\r\n'],
    ['in a field', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['behind the fields', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n'],
    ['in the end of the head', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r'],
  ])('%s has told nothing', (_name, text) => {
    expect(expectProblem(text, /broke off/, { closes: true }).status).toBe(0)
  })

  test.each([
    ['behind the head', ok('Content-Length: 5'), ''],
    ['in the content', `${ok('Content-Length: 5')}hell`, 'hell'],
    ['before the first chunk', ok(chunked), ''],
    ['in the size of a chunk', `${ok(chunked)}5`, ''],
    ['in the end of that line', `${ok(chunked)}5\r`, ''],
    ['before a chunk', `${ok(chunked)}5\r\n`, ''],
    ['in a chunk', `${ok(chunked)}5\r\nhell`, 'hell'],
    ['behind a chunk', `${ok(chunked)}5\r\nhello`, 'hello'],
    ['in the end of a chunk', `${ok(chunked)}5\r\nhello\r`, 'hello'],
    ['between chunks', `${ok(chunked)}5\r\nhello\r\n`, 'hello'],
    ['in the last chunk', `${ok(chunked)}5\r\nhello\r\n0`, 'hello'],
    ['behind the last chunk', `${ok(chunked)}5\r\nhello\r\n0\r\n`, 'hello'],
    ['in a trailer', `${ok(chunked)}5\r\nhello\r\n0\r\nX: y`, 'hello'],
    ['behind a trailer', `${ok(chunked)}5\r\nhello\r\n0\r\nX: y\r\n`, 'hello'],
    ['in the end of a trailer', `${ok(chunked)}5\r\nhello\r\n0\r\n\r`, 'hello'],
  ])('%s has not told a whole answer', (_name, text, content) => {
    const told = expectProblem(text, /broke off/, { closes: true })
    expect(told).toMatchObject({ status: 200, content })
  })

  test('is nothing behind a whole answer', () => {
    expectWhole(`${ok('Content-Length: 5')}hello`, { closes: true })
  })
})

describe('a connection may be used again', () => {
  const seconds = (...fields: readonly string[]) =>
    expectWhole(ok(...fields, empty)).reusableSeconds

  test('for some seconds when nothing is said', () => {
    expect(seconds()).toBe(5)
    expect(seconds('Connection: keep-alive')).toBe(5)
    expect(expectWhole(`${ok(chunked)}0\r\n\r\n`).reusableSeconds).toBe(5)
  })

  test.each([
    ['timeout=60', 60],
    ['timeout=60, max=100', 60],
    ['max=100, timeout=60', 60],
    ['max=100,timeout=60', 60],
    ['TIMEOUT=60', 60],
    ['timeout=1', 1],
    ['timeout=0', 0],
    ['timeout=999999999', 999_999_999],
    ['timeout=x', 5],
    ['timeout=-60', 5],
    ['xtimeout=60', 5],
    ['', 5],
    ['max=100', 5],
  ])('for as long as the upstream says: Keep-Alive %j', (hint, expected) => {
    expect(seconds(`Keep-Alive: ${hint}`)).toBe(expected)
  })

  test.each([
    ...['close', 'Close', 'CLOSE', 'close, x', 'x, close', 'x,close,y', 'keep-alive, close'],
    ...['close,keep-alive', 'x\t,\tclose', ' close '],
  ])('not at all after Connection: %j', (value) => {
    expect(seconds(`Connection: ${value}`, 'Keep-Alive: timeout=60')).toBe(0)
  })

  test('for the shortest time of several that are said', () => {
    expect(seconds('Keep-Alive: timeout=60', 'Keep-Alive: timeout=7')).toBe(7)
    expect(seconds('Keep-Alive: timeout=7', 'Keep-Alive: timeout=60', 'Keep-Alive: x')).toBe(7)
  })

  test('not after one of several fields says close', () => {
    expect(seconds('Proxy-Connection: close')).toBe(0)
    expect(seconds('Connection: keep-alive', 'Connection: x, close')).toBe(0)
    expect(seconds('Connection: close', 'Connection: keep-alive')).toBe(0)
  })

  test.each(['closed', 'x-close', 'close-x', 'not close', 'enclose'])(
    'after an option that only contains the word: %s',
    (value) => {
      expect(seconds(`Connection: ${value}`)).toBe(5)
    },
  )

  test('not after HTTP/1.0, whatever it says', () => {
    const old = 'HTTP/1.0 200 OK'
    expect(expectWhole(head(old, empty)).reusableSeconds).toBe(0)
    expect(expectWhole(head(old, 'Connection: keep-alive', empty)).reusableSeconds).toBe(0)
    expect(expectWhole(head(old, 'Keep-Alive: timeout=60', empty)).reusableSeconds).toBe(0)
  })

  test.each([
    ['another answer', ok(empty)],
    ['an empty line', '\r\n'],
    ['a single byte', 'x'],
    ['an interim answer', head('HTTP/1.1 100 Continue')],
  ])('not after %s came behind the whole one', (_name, extra) => {
    expect(expectWhole(ok(empty) + extra).reusableSeconds).toBe(0)
    expect(expectWhole(`${ok('Content-Length: 5')}hello${extra}`)).toMatchObject({
      content: 'hello',
      reusableSeconds: 0,
    })
    expect(expectWhole(`${ok(chunked)}5\r\nhello\r\n0\r\n\r\n${extra}`)).toMatchObject({
      content: 'hello',
      reusableSeconds: 0,
    })
  })
})

test('one answer after the other is read for what it is', () => {
  const told: string[] = []
  const reader = createAnswerReader({
    head: (status) => told.push(`head ${status}`),
    data: (piece) => told.push(`data ${piece}`),
    end: (last = Buffer.alloc(0)) => told.push(`end ${last}`),
  })
  const write = (method: string, text: string) => {
    reader.expect(method)
    reader.write(Buffer.from(text))
    return reader.reusableSeconds()
  }
  expect(write('HEAD', ok('Content-Length: 5', 'Keep-Alive: timeout=60'))).toBe(0)
  expect(write('POST', `${ok(chunked)}5\r\nhello\r\n0\r\n\r\n`)).toBe(5)
  expect(write('POST', head('HTTP/1.1 204 x', 'Content-Length: 5'))).toBe(0)
  expect(write('POST', `HTTP/1.1 100 x\r\n\r\n${ok('Content-Length: 2')}{}`)).toBe(5)
  expect(write('GET', ok(empty, `X: ${'y'.repeat(16_000)}`))).toBe(5)
  expect(write('GET', ok(empty, `X: ${'y'.repeat(16_000)}`))).toBe(5)
  expect(told).toEqual([
    ...['head 200', 'end '],
    ...['head 200', 'data hello', 'end '],
    ...['head 204', 'end '],
    ...['head 200', 'end {}'],
    ...['head 200', 'end ', 'head 200', 'end '],
  ])
})

test('the pieces of the content are told as they come, and none is held back', () => {
  const told: string[] = []
  const reader = createAnswerReader({
    head: () => told.push('head'),
    data: (piece) => told.push(String(piece)),
    end: () => told.push('end'),
  })
  reader.expect('GET')
  for (const piece of [ok(chunked), '5\r\nhel', 'lo', '\r\n6\r\n world']) {
    reader.write(Buffer.from(piece))
  }
  expect(told).toEqual(['head', 'hel', 'lo', ' world'])
})
