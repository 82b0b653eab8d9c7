import { readName } from './arguments.ts'
import type { Command } from './command.ts'
import { unwrap } from './refusal.ts'
import { table } from './render.ts'

export const accountCommands: readonly Command[] = [
  {
    name: 'account create',
    about: 'Make an account: the owner of domains and tokens',
    positionals: ['NAME'],
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
    async run({ operations }) {
      const accounts = await operations.store.listAccounts()
      return {
        json: accounts.map(({ id, name }) => ({ id, name })),
        text: table([['ID', 'NAME'], ...accounts.map(({ id, name }) => [String(id), name])]),
      }
    },
  },
]
