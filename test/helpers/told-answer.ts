import { AnswerProblem } from '../../middleware/answer-fields.ts'
import { createAnswerReader } from '../../middleware/answer-reader.ts'

/** What a reader told of one answer. */
export interface ToldAnswer {
  /** 0 while its head was not told. */
  readonly status: number
  /** A line for each field, a character for a byte. */
  readonly fields: readonly string[]
  /** A character for a byte. */
  readonly content: string
  readonly isWhole: boolean
  /** What made the reader give up. */
  readonly problem: string | undefined
  readonly reusableSeconds: number
}

export interface Reading {
  readonly method?: string
  /** The upstream says no more after these bytes. */
  readonly closes?: boolean
}

/** Reads the pieces as they would arrive one after the other. Rejects visits out of turn. */
export function tellAnswer(
  pieces: readonly (string | Buffer)[],
  { method = 'POST', closes = false }: Reading = {},
): ToldAnswer {
  let status = 0
  const fields: string[] = []
  const content: Buffer[] = []
  let isWhole = false
  let problem: string | undefined

  function requireTurn(isInTurn: boolean) {
    if (!isInTurn) throw new Error('the reader told something out of turn')
  }
  const reader = createAnswerReader({
    head(told, flat) {
      requireTurn(status === 0 && !isWhole)
      status = told
      for (let i = 0; i < flat.length; i += 2) fields.push(`${flat[i]}: ${flat[i + 1]}`)
    },
    data(piece) {
      requireTurn(status !== 0 && !isWhole)
      content.push(Buffer.from(piece))
    },
    end(last) {
      requireTurn(status !== 0 && !isWhole)
      if (last !== undefined) content.push(Buffer.from(last))
      isWhole = true
    },
  })
  reader.expect(method)
  try {
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : Buffer.from(piece)
      reader.write(bytes)
      // As the next piece would: the reader may keep none of it.
      bytes.fill(0)
    }
    if (closes) reader.close()
  } catch (thrown) {
    if (!(thrown instanceof AnswerProblem)) throw thrown
    problem = thrown.message
  }
  return {
    status,
    fields,
    content: Buffer.concat(content).toString('latin1'),
    isWhole,
    problem,
    reusableSeconds: reader.reusableSeconds(),
  }
}

/** Each byte in a piece of its own. */
export function byteByByte(text: string): Buffer[] {
  const bytes = Buffer.from(text, 'latin1')
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))
}
