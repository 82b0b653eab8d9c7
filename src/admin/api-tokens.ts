import { z } from '@hono/zod-openapi'
import type { Clock } from '../clock.ts'
import type { ManagedTokens, TokenQuery } from '../service/managed-tokens.ts'
import { type ApiContext, idempotencyKey } from './caller.ts'
import { answerChange } from './change-answer.ts'
import { badRequest, invalid, invalidAsAWhole, notFound } from './errors.ts'
import type { Generation } from './generation.ts'
import type { DefineOperation } from './operation.ts'
import { cutPage, linkNext, pageQuery } from './paging.ts'
import { idInput, line } from './schemas.ts'
import { type TokenShape, type View, viewQuery } from './token-json.ts'
import { createBody, editBody, expiryProblem, resetBody, windowBody } from './token-requests.ts'

export interface ApiTokensDeps {
  readonly operation: DefineOperation
  readonly generation: Generation
  readonly shape: TokenShape
  readonly tokens: ManagedTokens
  readonly clock: Pick<Clock, 'now'>
}

/** `api_tokens`, as existing clients speak it, and what these have always asked the vendor for. */
export function addApiTokens({ operation, generation, shape, tokens, clock }: ApiTokensDeps) {
  const { schema, tokenJson, issuedJson, resetJson } = shape
  const path = `${generation.prefix}/api_tokens`
  const one = `${path}/{id}`
  const tag = 'API tokens'
  const issued = { status: 200, schema: schema.tokenWithSecret } as const
  const query = z.object(viewQuery)
  const changed = { status: 200, description: 'The token', schema: schema.token } as const

  operation(
    {
      method: 'get',
      path,
      tag,
      summary: 'List tokens',
      description:
        'Those that the calling token sees, by id. All of them, or with `limit` one page and a Link to the next.',
      query: z.object({
        ...pageQuery,
        ...viewQuery,
        search: line.optional(),
        'domain_ids[]': z.array(idInput).max(100).optional(),
      }),
      answer: { status: 200, description: 'Tokens', schema: z.array(schema.token) },
    },
    async function list(
      c,
      { query: { limit, after = 0, view, search, 'domain_ids[]': onDomains } },
    ) {
      const { caller } = c.var
      const wanted = { search, onDomains }
      if (limit === undefined && after === 0) return listAll(c, wanted, view)
      const size = limit ?? 100
      const read = await tokens.page(caller, { after, limit: size + 1, ...wanted })
      const { page, next } = cutPage(read, size)
      if (next !== undefined) linkNext(c, { limit: size, after: next.id })
      return c.json(page.map((token) => tokenJson(token, view)))
    },
  )

  /** Written in pieces: the other work of this process gets its turn, however many tokens there are. */
  async function listAll(c: ApiContext, wanted: TokenQuery, view: View) {
    const pieces: string[] = []
    for await (const batch of tokens.all(c.var.caller, wanted)) {
      pieces.push(...batch.map((token) => JSON.stringify(tokenJson(token, view))))
    }
    return c.body(`[${pieces.join(',')}]`, 200, { 'content-type': 'application/json' })
  }

  operation(
    {
      method: 'post',
      path,
      tag,
      summary: 'Create a token',
      takesIdempotencyKey: true,
      isChange: true,
      query,
      body: createBody,
      answer: { ...issued, description: 'The token, with its secret, which is not shown again' },
    },
    async function create(c, { query: { view }, body: { name, resources, expires_at } }) {
      const key = idempotencyKey(c)
      if (key === false) return badRequest(c, 'The Idempotency-Key is malformed')
      if (resources.length === 0) return invalidAsAWhole(c, noPermissions)
      if (name === undefined) return invalid(c, { name: ["can't be blank"] })
      const problem = expiryProblem(expires_at, clock.now())
      if (problem !== undefined) return invalidAsAWhole(c, problem)
      const request = { name, grants: resources, expiresAt: expires_at ?? null }
      const created = await tokens.create(c.var.caller, request, key)
      return answerChange(c, created, (token) => issuedJson(token, view))
    },
  )

  operation(
    {
      method: 'get',
      path: one,
      tag,
      summary: 'Get a token',
      query,
      answer: { ...changed },
    },
    async function get(c, { id, query: { view } }) {
      const token = await tokens.get(c.var.caller, id)
      return token === undefined ? notFound(c) : c.json(tokenJson(token, view))
    },
  )

  operation(
    {
      method: 'patch',
      path: one,
      tag,
      summary: 'Rename a token, replace its permissions, or both',
      description: '`resources` is the whole new set. Beyond the vendor.',
      isChange: true,
      query,
      body: editBody,
      answer: { ...changed },
    },
    async function edit(c, { id, query: { view }, body: { name, resources: grants } }) {
      if (grants?.length === 0) return invalidAsAWhole(c, noPermissions)
      if (name === undefined && grants === undefined) {
        return invalidAsAWhole(c, 'Nothing to change: give name or resources')
      }
      const edited = await tokens.edit(c.var.caller, id, { name, grants })
      return answerChange(c, edited, (token) => tokenJson(token, view))
    },
  )

  operation(
    {
      method: 'delete',
      path: one,
      tag,
      summary: 'Delete a token',
      isChange: true,
      answer: { status: 204, description: 'No node accepts it any more' },
    },
    async function remove(c, { id }) {
      const outcome = await tokens.remove(c.var.caller, id)
      const answer = answerChange(c, outcome, () => null)
      const isAbsent = 'done' in outcome && outcome.done && !outcome.value.deleted
      return isAbsent && answer.status === 204 ? notFound(c) : answer
    },
  )

  operation(
    {
      method: 'post',
      path: `${one}/reset`,
      tag,
      summary: 'Reset a token',
      description:
        'Makes a successor with the same permissions. The old token works until its window ends: `window`, beyond the vendor, or 12 hours.',
      takesIdempotencyKey: true,
      isChange: true,
      query,
      body: resetBody,
      bodyOptional: true,
      answer: {
        status: 200,
        schema: schema.successor,
        description: 'The successor, with its secret',
      },
    },
    async function reset(c, { id: tokenId, query: { view }, body }) {
      const { expires_at: expiresAt, window: windowMs } = body
      const key = idempotencyKey(c)
      if (key === false) return badRequest(c, 'The Idempotency-Key is malformed')
      const problem = expiryProblem(expiresAt, clock.now())
      if (problem !== undefined) return invalidAsAWhole(c, problem)
      const request = {
        tokenId,
        // Absent, the successor has the old one's.
        ...(expiresAt !== undefined && { expiresAt }),
        ...(windowMs !== undefined && { windowMs }),
      }
      const done = await tokens.reset(c.var.caller, request, key)
      return answerChange(c, done, (both) => resetJson(both, view))
    },
  )

  operation(
    {
      method: 'patch',
      path: `${one}/reset`,
      tag,
      summary: 'Shorten, end or extend a running reset window',
      description:
        '`window` counts from now, and ends 30 days after the reset at the latest. Beyond the vendor.',
      isChange: true,
      query,
      body: windowBody,
      answer: { ...changed },
    },
    async function changeWindow(c, { id, query: { view }, body: { window } }) {
      const changed = await tokens.changeWindow(c.var.caller, id, window)
      return answerChange(c, changed, (token) => tokenJson(token, view))
    },
  )

  operation(
    {
      method: 'delete',
      path: `${one}/reset`,
      tag,
      summary: 'Take a reset back while its window runs',
      description: 'The successor stays, since apps may use it already. Beyond the vendor.',
      isChange: true,
      query,
      answer: { ...changed },
    },
    async function undoReset(c, { id, query: { view } }) {
      const undone = await tokens.undoReset(c.var.caller, id)
      return answerChange(c, undone, (token) => tokenJson(token, view))
    },
  )

  operation(
    {
      method: 'post',
      path: `${one}/reveal`,
      tag,
      summary: 'Show a token again',
      description:
        'From its sealed copy, if one was kept. Each call stands in the audit trail. Beyond the vendor.',
      answer: { ...issued, description: 'The token, with its secret' },
    },
    async function reveal(c, { id }) {
      return answerChange(c, await tokens.reveal(c.var.caller, id), (token) => issuedJson(token))
    },
  )
}

/** The vendor's words. */
const noPermissions = 'No permissions selected. Please choose at least one.'
