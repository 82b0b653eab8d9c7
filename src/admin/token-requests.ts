import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { nameProblem } from '../core/token-name.ts'
import type { GrantRequest } from '../service/ports.ts'

/** What clients send about tokens, in every spelling that existing ones use. */

type Errors = Readonly<Record<string, readonly string[]>>
type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: Errors }

const maxBodyBytes = 1024 * 1024
/** The vendor's bound. */
const maxExpiryMs = 5 * 366 * 24 * 3_600_000

/**
 * A JSON object. An empty body is an empty one, whatever its type says: one client sends a form without fields, another
 * says JSON and sends nothing.
 */
export async function readBody(
  incoming: IncomingMessage,
): Promise<{ ok: true; value: unknown } | { ok: false; tooLarge: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > maxBodyBytes) return { ok: false, tooLarge: true }
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString()
  if (text.trim() === '') return { ok: true, value: {} }
  try {
    return { ok: true, value: JSON.parse(text) }
  } catch {
    return { ok: false, tooLarge: false }
  }
}

const id = z.union([
  z.number().int().positive(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
])

const accessLevel = z
  .union([z.literal(['admin', 'viewer']), z.literal([100, 10]), z.literal(['100', '10'])])
  .transform((level) => (level === 'admin' || Number(level) === 100 ? 'admin' : 'viewer'))

const resource = z
  .object({
    resource_type: z.enum(['account', 'domain', 'sending_domain', 'mailsend_domain']),
    resource_id: id,
    access_level: accessLevel,
  })
  .transform(
    ({ resource_type, resource_id, access_level }): GrantRequest => ({
      resource: { type: resource_type === 'account' ? 'account' : 'domain', id: resource_id },
      level: access_level,
    }),
  )

const instant = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))
const createBody = z.object({
  name: z.string(),
  resources: z.array(resource).max(10_000).default([]),
  expires_at: instant.nullable().optional(),
})
const resetBody = z.object({
  expires_at: instant.nullable().optional(),
  /** Beyond the vendor: milliseconds for which the old token works on. */
  window_ms: z.number().int().nonnegative().optional(),
})

export function readCreate(
  body: unknown,
  now: number,
): Read<{ name: string; grants: readonly GrantRequest[]; expiresAt: number | null }> {
  const parsed = createBody.safeParse(body)
  if (!parsed.success) return { ok: false, errors: errorsOf(parsed.error) }
  const { name, resources, expires_at } = parsed.data
  const problem = nameProblem(name)
  if (resources.length === 0) {
    return base('No permissions selected. Please choose at least one.')
  }
  if (problem !== undefined) return { ok: false, errors: { name: [problem.replace(/^name /, '')] } }
  const expiry = expiryProblem(expires_at, now)
  if (expiry !== undefined) return base(expiry)
  return { ok: true, value: { name, grants: resources, expiresAt: expires_at ?? null } }
}

export function readReset(
  body: unknown,
  now: number,
): Read<{ expiresAt?: number | null; windowMs?: number }> {
  const parsed = resetBody.safeParse(body)
  if (!parsed.success) return { ok: false, errors: errorsOf(parsed.error) }
  const { expires_at, window_ms } = parsed.data
  const expiry = expiryProblem(expires_at, now)
  if (expiry !== undefined) return base(expiry)
  return {
    ok: true,
    value: {
      // Absent, the successor has the old one's.
      ...(expires_at !== undefined && { expiresAt: expires_at }),
      ...(window_ms !== undefined && { windowMs: window_ms }),
    },
  }
}

function expiryProblem(at: number | null | undefined, now: number): string | undefined {
  if (at === null || at === undefined) return undefined
  if (at <= now) return 'Expiration date must be in the future'
  if (at - now > maxExpiryMs) return 'Expiration date must be within 5 years'
  return undefined
}

function base(sentence: string): Read<never> {
  return { ok: false, errors: { base: [sentence] } }
}

/** By the field that each is about, as forms show them. */
function errorsOf({ issues }: z.ZodError): Errors {
  const errors: Record<string, string[]> = {}
  for (const { path, message } of issues) {
    const field = path.length === 0 ? 'base' : path.join('.')
    errors[field] = [...(errors[field] ?? []), message]
  }
  return errors
}
