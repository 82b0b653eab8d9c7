import { z } from '@hono/zod-openapi'
import { accessLevelNumber } from '../core/grants.ts'
import type { Administered, ManagedAccount } from '../service/managed-account.ts'
import type { Generation } from './generation.ts'
import type { DefineOperation } from './operation.ts'
import { accessLevel, id } from './schemas.ts'

interface AccountDeps {
  readonly operation: DefineOperation
  readonly account: ManagedAccount
}

/** The vendor's word for a level that only shows on single resources. */
const indeterminate = 1

/** Clients ask this first, to learn the id that stands in the older paths. */
export function addAccounts({ operation, account }: AccountDeps) {
  const shape = z
    .strictObject({
      id,
      name: z.string(),
      access_levels: z.array(z.union([z.literal(indeterminate), accessLevel])),
    })
    .openapi('Account')

  operation(
    {
      method: 'get',
      path: '/api/accounts',
      tag: 'Account',
      summary: 'List accounts',
      description: 'The one of the calling token. Level 1: permissions on single domains only.',
      answer: { status: 200, description: 'Accounts', schema: z.array(shape) },
    },
    async function list(c) {
      const own = await account.account(c.var.caller)
      if (own === undefined) return c.json([])
      const { account: found, level } = own
      const number = level === null ? indeterminate : accessLevelNumber[level]
      return c.json([{ id: found.id, name: found.name, access_levels: [number] }])
    },
  )
}

interface ResourceNode {
  readonly id: number
  readonly name: string
  readonly type: string
  readonly access_level: number
  readonly resources: readonly ResourceNode[]
}

/** What the calling token may give to others. */
export function addResources({
  operation,
  account,
  generation,
}: AccountDeps & { readonly generation: Generation }) {
  const fields = { id, name: z.string(), access_level: z.literal(accessLevelNumber.admin) }
  const node = z
    .strictObject({
      ...fields,
      type: z.enum(['account', generation.domainWord]),
      resources: z.array(
        z.strictObject({
          ...fields,
          type: z.literal(generation.domainWord),
          resources: z.array(z.unknown()).max(0),
        }),
      ),
    })
    .openapi(`${generation.schemaPrefix}ResourceNode`)

  operation(
    {
      method: 'get',
      path: `${generation.prefix}/permissions/resources`,
      tag: 'Account',
      summary: 'List resources',
      description: 'The account and its domains, as far as the calling token administers them.',
      answer: { status: 200, description: 'Resources, nested', schema: z.array(node) },
    },
    async function list(c) {
      return c.json(treeOf(await account.administered(c.var.caller), generation.domainWord))
    },
  )
}

function treeOf({ account, domains }: Administered, domainWord: string): readonly ResourceNode[] {
  const access_level = accessLevelNumber.admin
  const nodes = domains.map(({ id: domainId, name }) => ({
    id: domainId,
    name,
    type: domainWord,
    access_level,
    resources: [],
  }))
  if (account === undefined) return nodes
  const { id: accountId, name } = account
  return [{ id: accountId, name, type: 'account', access_level, resources: nodes }]
}
