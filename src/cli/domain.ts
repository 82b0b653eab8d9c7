import {
  findDomain,
  knownAccount,
  optionText,
  readAccount,
  readDomain,
  readId,
} from './arguments.ts'
import type { Command } from './command.ts'
import { unwrap, withReceipt } from './refusal.ts'
import { domainJson, table } from './render.ts'

const account = {
  account: { type: 'string', value: 'ID', about: 'the account; not needed if there is only one' },
} as const

export const domainCommands: readonly Command[] = [
  {
    name: 'domain add',
    about: 'Add a domain, with its own token that administers it',
    positionals: ['NAME'],
    options: account,
    async run(context) {
      const { operations, positionals, actor } = context
      const name = readDomain(positionals[0] ?? '')
      const accountId = await readAccount(context)
      const added = await operations.issue.addDomain({ accountId, name, state: 'verified' }, actor)
      const { value, receipt } = unwrap(added)
      const { domain, token } = value
      const { record, bearerToken } = token
      const output = {
        json: {
          ...domainJson(domain),
          token: { id: record.id, name: record.name, token: bearerToken },
        },
        text: [
          `Domain ${domain.id}: ${domain.name}`,
          `Token ${record.id}: ${record.name}`,
          bearerToken,
        ].join('\n'),
      }
      return withReceipt(output, receipt)
    },
  },
  {
    name: 'domain list',
    about: 'List the domains of one account, or of all',
    options: account,
    async run({ operations, values }) {
      const given = optionText(values, 'account')
      const accountId =
        given === undefined
          ? undefined
          : knownAccount(await operations.store.listAccounts(), readId(given, '--account'))
      const domains = await operations.store.listDomains(accountId)
      const rows = domains.map(({ id, name, accountId, state }) => [
        String(id),
        name,
        String(accountId),
        state,
      ])
      return {
        json: domains.map(domainJson),
        text: table([['ID', 'NAME', 'ACCOUNT', 'STATE'], ...rows]),
      }
    },
  },
  {
    name: 'domain remove',
    about: 'Remove a domain with every grant on it; its name or its id',
    positionals: ['DOMAIN'],
    async run({ operations, positionals, actor }) {
      const wanted = positionals[0] ?? ''
      const name = /^\d+$/.test(wanted) ? wanted : readDomain(wanted)
      const domain = findDomain(await operations.store.listDomains(), name)
      const { receipt } = unwrap(await operations.revoke.removeDomain(domain.id, actor))
      const { id, name: removed } = domain
      return withReceipt(
        { json: { id, name: removed, removed: true }, text: `Removed ${removed}` },
        receipt,
      )
    },
  },
]
