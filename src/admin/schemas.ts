import { z } from '@hono/zod-openapi'

/** Shapes that many operations share. */

export const id = z.int().positive()

/** As existing clients send it: a number, or its digits. */
export const idInput = z
  .union([
    id,
    z
      .string()
      .regex(/^[1-9]\d{0,14}$/)
      .transform(Number),
  ])
  .openapi({ description: 'An id, as a number or as text.' })

export const instant = z.iso.datetime({ offset: true })

/** One line that a person typed: no database takes a NUL, and no list shows the rest. */
export const line = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'contains a control character')

/** 100 is admin, 10 is viewer. */
export const accessLevel = z.union([z.literal(10), z.literal(100)])

export const accessLevelInput = z
  .union([z.enum(['admin', 'viewer', '100', '10']), accessLevel])
  .transform((level) =>
    level === 'admin' || Number(level) === 100 ? ('admin' as const) : ('viewer' as const),
  )

const error = z.strictObject({ error: z.string() }).openapi('Error')
const errorText = z.strictObject({ errors: z.string() }).openapi('ErrorText')
const fieldErrors = z
  .strictObject({ errors: z.record(z.string(), z.array(z.string())) })
  .openapi('FieldErrors')

const json = (schema: z.ZodType) => ({ content: { 'application/json': { schema } } })
const retryAfter = z.object({ 'Retry-After': z.string() })

/** What any operation may answer besides what it is for. */
export const commonAnswers = {
  400: { description: 'The body is not JSON, or a header field is malformed', ...json(error) },
  401: {
    description: 'No API token, or one that is unknown, expired or deleted',
    headers: z.object({ 'WWW-Authenticate': z.string() }),
    ...json(error),
  },
  403: { description: 'The token may not do this', ...json(errorText) },
  404: { description: 'There is nothing here that this token sees', ...json(error) },
  413: { description: 'The body is too large', ...json(error) },
  422: { description: 'It cannot be done as asked; why, by field', ...json(fieldErrors) },
  429: { description: 'This token calls too often', headers: retryAfter, ...json(errorText) },
  503: { description: 'It cannot be found out now', headers: retryAfter, ...json(error) },
}

export const receiptHeaders = z.object({
  'Postern-Revocation': z.string().optional().openapi({
    description:
      'The receipt: epoch of the change, nodes that confirmed it, silent nodes that were waited out, milliseconds.',
    example: 'epoch=12, confirmed=3, fenced=0, ms=8.1',
  }),
})

export const pendingChange = {
  description:
    'It is done, but not yet confirmed on every node. What the answer would have held stands beside these fields; repeating the call waits again.',
  headers: receiptHeaders.extend({ 'Retry-After': z.string() }),
  ...json(
    z
      .looseObject({
        propagation: z.literal('pending'),
        epoch: z.int(),
        waiting_for: z.array(z.string()),
        confirmed_by: z.null(),
      })
      .openapi('PendingChange'),
  ),
}
