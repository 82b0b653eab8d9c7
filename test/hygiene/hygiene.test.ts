import { afterAll, describe, expect, test } from 'vitest'
import { findSecrets, secretForms } from '../helpers/secret-forms.ts'
import { outputNames, runWholeLife, type WholeRun } from './whole-run.ts'

describe('a whole run, with tokens in every place where somebody might put one', () => {
  let run: WholeRun

  // In a test, since clients end with theirs.
  test('lives to its end', { timeout: 180_000 }, async () => {
    run = await runWholeLife()
  })
  afterAll(() => run?.remove())

  test.each(outputNames)('no token can be read in %s', (name) => {
    const pieces = run.outputs.get(name) ?? []
    expect(pieces.join('').length).toBeGreaterThan(50)
    expect(run.tokens.size).toBeGreaterThan(10)
    for (const piece of pieces) expect(findSecrets(piece, run.tokens)).toEqual([])
  })

  test.each(outputNames.filter((name) => !name.includes('gets')))(
    'no password or key of the operator can be read in %s',
    (name) => {
      for (const piece of run.outputs.get(name) ?? []) {
        expect(findSecrets(piece, run.operatorSecrets)).toEqual([])
      }
    },
  )

  test('what the run looked at is what a gate says when it is asked for the most', () => {
    const said = run.outputs.get('what the program writes')?.join('') ?? ''
    for (const event of ['decision', 'undecided', 'upstream_failed']) {
      expect(said).toContain(`"event":"${event}"`)
    }
    expect(run.outputs.get('answers of the HTTP gateway')).toEqual(
      expect.arrayContaining(['200', '400', '401', '403', '404', '415', '502', '503']),
    )
    const replies = run.outputs.get('replies of the SMTP gateway')?.join('\n') ?? ''
    for (const code of [235, 250, 334, 354, 451, 454, 501, 504, 535, 550]) {
      expect(replies).toMatch(new RegExp(`^${code} `, 'm'))
    }
  })
})

test('a secret is found in every form in which it could be read', () => {
  const secret = 'pst_aZ09/+~"x'
  const forms = [
    ...['', 'x', 'xy', '\0api\0'].map((before) =>
      Buffer.from(`${before}${secret}yz`).toString('base64'),
    ),
    ...['', 'x', 'xy'].map((before) => Buffer.from(`${before}${secret}`).toString('base64url')),
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('hex').toUpperCase(),
    new URLSearchParams({ secret }).toString().replaceAll('%7E', '~'),
    JSON.stringify({ secret }),
    `Bearer ${secret}`,
    Buffer.from(`x${secret}`, 'utf16le'),
  ]
  for (const form of forms) expect(findSecrets(form, new Map([['it', secret]]))).toEqual(['it'])
  expect(secretForms(secret).every((form) => form.length > 8)).toBe(true)
  expect(findSecrets('pst_aZ09', new Map([['it', secret]]))).toEqual([])
})
