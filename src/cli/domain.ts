import type { DomainCheck } from '../service/verify-domain.ts'
import {
  findDomain,
  knownAccount,
  optionText,
  readAccount,
  readDomain,
  readId,
} from './arguments.ts'
import type { Command, CommandContext } from './command.ts'
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
      const rows = domains.map(({ id, name, accountId, state, proof }) => [
        String(id),
        name,
        String(accountId),
        // What became of the proof matters only as long as there is none.
        state === 'pending' ? `pending (${proof?.status})` : state,
      ])
      return {
        json: domains.map(domainJson),
        text: table([['ID', 'NAME', 'ACCOUNT', 'STATE'], ...rows]),
      }
    },
  },
  {
    name: 'domain verify',
    about: 'Look in the DNS for the record that proves a domain; its name or its id',
    positionals: ['DOMAIN'],
    options: {
      force: { type: 'boolean', about: 'verify it without asking the DNS: you know whose it is' },
    },
    async run(context) {
      const { operations, values, actor } = context
      const domain = await readDomainArgument(context)
      const { outcome, check } =
        values.force === true
          ? { outcome: await operations.verify.byWord(domain.id, actor), check: null }
          : await operations.verify.onRequest(domain, actor)
      const { value, receipt } = unwrap(outcome)
      const json = { ...domainJson(value), verification: check && checkJson(check) }
      const text = check === null ? `${value.name} is ${value.state}` : checkText(check)
      return { ...withReceipt({ json, text }, receipt), failed: value.state !== 'verified' }
    },
  },
  {
    name: 'domain remove',
    about: 'Remove a domain with every grant on it; its name or its id',
    positionals: ['DOMAIN'],
    async run(context) {
      const { operations, actor } = context
      const { id, name } = await readDomainArgument(context)
      const { receipt } = unwrap(await operations.revoke.removeDomain(id, actor))
      return withReceipt({ json: { id, name, removed: true }, text: `Removed ${name}` }, receipt)
    },
  },
]

/** By its name or its id. */
async function readDomainArgument({ operations, positionals }: CommandContext) {
  const wanted = positionals[0] ?? ''
  const name = /^\d+$/.test(wanted) ? wanted : readDomain(wanted)
  return findDomain(await operations.store.listDomains(), name)
}

function checkJson({ record, ...look }: DomainCheck) {
  return { ...record, ...look }
}

function checkText({ record, status, found, resolver, trouble }: DomainCheck): string {
  const result = {
    pass: 'found: the domain is verified',
    missing: 'there is no such record yet',
    fail: 'there are others, and not this one',
    network_error: `the DNS does not answer (${trouble}): this says nothing of the record`,
  }[status]
  return table([
    ['Record', `${record.name} ${record.type} "${record.value}"`],
    ...found.map((text) => ['Found', `"${text}"`]),
    ...(resolver === null ? [] : [['Answered by', resolver]]),
    ['Result', result],
  ])
}
