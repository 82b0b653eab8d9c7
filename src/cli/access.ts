import { accessLevelNumber, type DomainRecord, type Grant } from '../core/grants.ts'
import { standing } from '../core/standing.ts'
import { readAccount, readDomainIds } from './arguments.ts'
import type { Command } from './command.ts'
import { accountOption, domainFilter } from './options.ts'
import { endText } from './render.ts'

export const accessCommand: Command = {
  name: 'access list',
  about: 'Who may do what: one line for each permission of each token',
  options: {
    ...accountOption,
    domain: { ...domainFilter.domain, about: 'only what reaches this domain; may be repeated' },
  },
  examples: ['access list', 'access list --domain acme.test'],
  async manage(context) {
    const { management, clock } = context
    const now = clock.now()
    const accountId = await readAccount(context)
    const wanted = await readDomainIds(context, accountId)
    const [accounts, domains, { items: tokens }] = await Promise.all([
      management.listAccounts(),
      management.listDomains(accountId),
      management.listTokens({ accountId, after: 0 }),
    ])
    const names = namesOf(domains)
    const account = accounts.find(({ id }) => id === accountId)?.name ?? null
    const accesses = tokens
      .flatMap((token) => token.grants.map((grant) => ({ token, ...grant })))
      .filter(({ resource }) => reachesAny(resource, wanted))
      .map(({ token, resource, level }) => ({
        token,
        resource,
        level,
        name: resource.type === 'account' ? account : (names.get(resource.id) ?? null),
      }))
      .sort(byResource)
    return {
      json: accesses.map(({ token, resource, level, name }) => ({
        resource_type: resource.type,
        resource_id: resource.id,
        resource_name: name,
        access_level: accessLevelNumber[level],
        token_id: token.id,
        token_name: token.name,
        standing: standing(token, now),
      })),
      text: {
        columns: [
          { title: 'ON' },
          { title: 'NAME', shrinks: true },
          { title: 'LEVEL' },
          { title: 'TOKEN' },
          { title: 'TOKEN NAME', shrinks: true },
          { title: 'ENDS' },
        ],
        rows: accesses.map(({ token, resource, level, name }) => [
          resource.type,
          name ?? String(resource.id),
          level,
          String(token.id),
          token.name,
          endText(token, now),
        ]),
        empty:
          'No token may do anything here: give one a permission with "postern token permissions"',
      },
    }
  },
}

function namesOf(domains: readonly DomainRecord[]): ReadonlyMap<number, string> {
  return new Map(domains.map(({ id, name }) => [id, name]))
}

/** A permission on the account reaches each of its domains. */
function reachesAny({ type, id }: Grant['resource'], domains: readonly number[] | undefined) {
  return domains === undefined || type === 'account' || domains.includes(id)
}

interface Access {
  readonly resource: Grant['resource']
  readonly name: string | null
  readonly token: { readonly id: number }
}

/** The account first, then domain after domain. */
function byResource(a: Access, b: Access): number {
  return (
    Number(b.resource.type === 'account') - Number(a.resource.type === 'account') ||
    compareText(a.name ?? '', b.name ?? '') ||
    a.token.id - b.token.id
  )
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
