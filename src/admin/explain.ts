import { z } from '@hono/zod-openapi'
import type { ManagedAccount } from '../service/managed-account.ts'
import type { Generation } from './generation.ts'
import type { DefineOperation } from './operation.ts'
import { id, idInput } from './schemas.ts'

const protocol = z.enum(['http', 'smtp'])

const body = z
  .object({
    token_id: idInput.optional(),
    token: z.string().max(1024).optional(),
    from: z.string().max(1024).openapi({ description: 'An address, or a domain.' }),
    protocol: protocol.default('http').openapi({ description: 'Both decide alike.' }),
  })
  .refine(({ token, token_id }) => (token === undefined) !== (token_id === undefined), {
    message: 'Give either token or token_id',
  })

const explanation = z
  .strictObject({
    allowed: z.boolean(),
    reason: z.string().nullable(),
    rule: z.string(),
    domain: z.string().nullable(),
    token_id: id.nullable(),
    account_id: id.nullable(),
    protocol,
  })
  .openapi('Explanation')

interface ExplainDeps {
  readonly operation: DefineOperation
  readonly generation: Generation
  readonly account: ManagedAccount
}

/** Why is my message refused? */
export function addExplain({ operation, generation, account }: ExplainDeps) {
  operation(
    {
      method: 'post',
      path: `${generation.prefix}/explain`,
      tag: 'Account',
      summary: 'May this token send as this address, and which rule decides?',
      description: 'About tokens and domains that the calling token sees. Beyond the vendor.',
      body,
      answer: { status: 200, description: 'The decision', schema: explanation },
    },
    async function explain(c, { body: { token, token_id, from, protocol: asked } }) {
      const about = token === undefined ? { tokenId: token_id ?? 0 } : { bearerToken: token }
      const found = await account.explain(c.var.caller, about, from)
      const answer: z.input<typeof explanation> = {
        allowed: found.allowed,
        reason: found.reason,
        rule: found.rule,
        domain: found.domain,
        token_id: found.tokenId,
        account_id: found.accountId,
        protocol: asked,
      }
      return c.json(answer)
    },
  )
}
