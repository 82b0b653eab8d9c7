import { readName } from './arguments.ts'
import type { Command } from './command.ts'
import { unwrap } from './refusal.ts'

export const accountCommands: readonly Command[] = [
  {
    name: 'account create',
    about: 'Make an account: the owner of domains and tokens',
    positionals: ['NAME'],
    examples: ['account create Acme'],
    async run({ operations, positionals, actor }) {
      const { value } = unwrap(
        await operations.issue.createAccount(readName(positionals[0]), actor),
      )
      return {
        json: { id: value.id, name: value.name },
        text: `Account ${value.id}: ${value.name}`,
      }
    },
  },
  {
    name: 'account list',
    about: 'List the accounts',
    examples: ['account list --json'],
    async manage({ management }) {
      const accounts = await management.listAccounts()
      return {
        json: accounts.map(({ id, name }) => ({ id, name })),
        text: {
          columns: [{ title: 'ID' }, { title: 'NAME', shrinks: true }],
          rows: accounts.map(({ id, name }) => [String(id), name]),
          empty: 'No accounts yet: make one with "postern account create NAME"',
        },
      }
    },
  },
]
