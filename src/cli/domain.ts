import type { DomainCheck } from '../service/verify-domain.ts'
import { findDomain, knownDomain, readAccount, readAnyAccount, readDomain } from './arguments.ts'
import type { Command, ManagementContext } from './command.ts'
import { accountOption } from './options.ts'
import { answerAbsence, noSuchDomain, withReceipt } from './refusal.ts'
import { domainJson } from './render.ts'
import { alignRows } from './table.ts'

export const domainCommands: readonly Command[] = [
  {
    name: 'domain add',
    about: 'Add a domain, with its own token that administers it',
    positionals: ['NAME'],
    options: accountOption,
    examples: ['domain add acme.test', 'domain add acme.test --account 2 --json'],
    async manage(context) {
      const { management, positionals } = context
      const name = readDomain(positionals[0] ?? '')
      const { value, receipt } = await management.addDomain(await readAccount(context), name)
      const { domain, token } = value
      const output = {
        json: {
          ...domainJson(domain),
          token: { id: token.id, name: token.name, token: token.bearerToken },
        },
        text: [
          `Domain ${domain.id}: ${domain.name}${domain.state === 'pending' ? ', not verified yet' : ''}`,
          `Token ${token.id}: ${token.name}`,
          token.bearerToken,
        ].join('\n'),
      }
      return withReceipt(output, receipt)
    },
  },
  {
    name: 'domain list',
    about: 'List the domains of one account, or of all',
    options: accountOption,
    examples: ['domain list', 'domain list --account 2 --json'],
    async manage(context) {
      const domains = await context.management.listDomains(await readAnyAccount(context))
      return {
        json: domains.map(domainJson),
        text: {
          columns: [
            { title: 'ID' },
            { title: 'NAME', shrinks: true },
            { title: 'ACCOUNT' },
            { title: 'STATE' },
          ],
          rows: domains.map(({ id, name, accountId, state, dnsRecord }) => [
            String(id),
            name,
            String(accountId),
            // What became of the proof matters only as long as there is none.
            state === 'pending' ? `pending (${dnsRecord?.status})` : state,
          ]),
          empty: 'No domains yet: add one with "postern domain add NAME"',
        },
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
    examples: ['domain verify acme.test', 'domain verify 7 --force'],
    async manage({ management, positionals, values }: ManagementContext) {
      const wanted = knownDomain(await management.listDomains(), nameOrId(positionals))
      const { value, receipt } = await management.verifyDomain(wanted, values.force === true)
      const { domain, check } = value
      const json = { ...domainJson(domain), verification: check && checkJson(check) }
      const text = check === null ? `${domain.name} is ${domain.state}` : checkText(check)
      return { ...withReceipt({ json, text }, receipt), failed: domain.state !== 'verified' }
    },
  },
  {
    name: 'domain remove',
    about: 'Remove a domain with every grant on it; its name or its id',
    positionals: ['DOMAIN'],
    examples: ['domain remove acme.test'],
    async manage({ management, positionals }) {
      const wanted = nameOrId(positionals)
      const found = findDomain(await management.listDomains(), wanted)
      const { value, receipt } = await management.removeDomain(found)
      if (value === undefined) {
        return answerAbsence(noSuchDomain(wanted), { name: wanted, removed: false }, receipt)
      }
      const { id, name } = value
      return withReceipt({ json: { id, name, removed: true }, text: `Removed ${name}` }, receipt)
    },
  },
]

function nameOrId([given = '']: readonly string[]): string {
  return /^\d+$/.test(given) ? given : readDomain(given)
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
  return alignRows([
    ['Record', `${record.name} ${record.type} "${record.value}"`],
    ...found.map((text) => ['Found', `"${text}"`]),
    ...(resolver === null ? [] : [['Answered by', resolver]]),
    ['Result', result],
  ])
}
