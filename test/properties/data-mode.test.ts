import { once } from 'node:events'
import fc from 'fast-check'
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { expect } from 'vitest'
import { takeData } from '../../smtp/data-mode.ts'
import { createDotStuffing } from '../../smtp/dot-stuffing.ts'
import { cut, guarantee, inTime, places } from './property.ts'

/** The bytes of DATA, read by the gate; and by smtp-server's own method, in whose place it stands. */

/** Some messages are larger, and some are not. */
const maxMessageBytes = 10

/** What a parser makes of the bytes: the message, a character for a byte, and the commands behind it. */
interface Told {
  readonly message: string
  readonly isOver: boolean
  readonly isTooLarge: boolean
  readonly commands: readonly string[]
}

async function read(pieces: readonly Buffer[], feed?: typeof takeData): Promise<Told> {
  const parser = new SMTPStream()
  if (feed !== undefined) {
    parser._feedDataStream = (chunk, done) => feed(parser, chunk, done)
  }
  const commands: string[] = []
  parser.oncommand = (line, callback) => {
    commands.push(line.toString('latin1'))
    callback?.()
  }
  const stream = parser.startDataMode(maxMessageBytes)
  let message = ''
  let isOver = false
  stream.on('data', (piece: Buffer) => {
    message += piece.toString('latin1')
  })
  stream.on('end', () => {
    isOver = true
    parser.continue()
  })
  for (const piece of pieces) parser.write(piece)
  parser.end()
  await once(parser, 'finish')
  return { message, isOver, isTooLarge: stream.sizeExceeded, commands }
}

const usual = fc.constantFrom('\r\n', '\r\n.', '\r\n..', '\r\n.\r\n', '.', '..', '.\r\n', 'x')
const odd = fc.constantFrom(
  '\r',
  '\n',
  '\n.',
  '\n..',
  '\r.',
  '\0',
  '\r\n.\r',
  '\n.\r\n',
  'NOOP\r\n',
)
const text = fc
  .array(fc.oneof({ weight: 3, arbitrary: usual }, { weight: 1, arbitrary: odd }), {
    maxLength: 14,
  })
  .map((parts) => parts.join(''))

guarantee(
  'a message ends where smtp-server ends it, and has the same bytes, however it is cut',
  { runs: 3_000, input: fc.record({ text, places }) },
  async ({ text, places }) => {
    // smtp-server takes it for no line end, and the gate does; it is refused in any case.
    fc.pre(!text.startsWith('\n'))
    const bytes = Buffer.from(`${text}\r\n.\r\nQUIT\r\n`, 'latin1')
    const pieces = cut(bytes, places)
    const theirs = await inTime(read(pieces), 'smtp-server')
    expect(await inTime(read(pieces, takeData), 'the gate')).toEqual(theirs)
    expect(await inTime(read([bytes], takeData), 'the gate')).toEqual(theirs)
  },
)

guarantee(
  'dots that are doubled on the way out come in once, however both are cut',
  { runs: 2_000, input: fc.record({ text, sent: places, places }) },
  async ({ text, sent, places }) => {
    const message = `${text}\r\n`
    const stuffed = cut(Buffer.from(message, 'latin1'), sent).map(createDotStuffing())
    const bytes = Buffer.concat([...stuffed, Buffer.from('.\r\nQUIT\r\n')])
    const told = await inTime(read(cut(bytes, places), takeData), 'the gate')
    expect(told).toMatchObject({ message, isOver: true, commands: ['QUIT'] })
  },
)
