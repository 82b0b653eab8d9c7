import type { Outcome } from '../service/confirm.ts'
import type { IssuedToken } from '../service/issue.ts'
import type { TokenRecord } from '../service/ports.ts'
import {
  optionText,
  readAccount,
  readDuration,
  readExpiry,
  readGrants,
  readId,
  readIdempotencyKey,
  readName,
  readTokenRate,
} from './arguments.ts'
import { type Command, type CommandContext, CommandFailed } from './command.ts'
import { unwrap, withReceipt } from './refusal.ts'
import { accessText, endText, oldTokenText, table, tokenJson, tokenText } from './render.ts'

const account = {
  account: { type: 'string', value: 'ID', about: 'the account; not needed if there is only one' },
} as const
const grants = {
  domain: {
    type: 'string',
    multiple: true,
    value: 'NAME:LEVEL',
    about: 'admin or viewer on a domain; admin may send from it; may be repeated',
  },
  'account-level': {
    type: 'string',
    value: 'LEVEL',
    about: 'admin or viewer on the account and all its domains, now and later',
  },
} as const
const expires = {
  expires: { type: 'string', value: 'DATE', about: 'ISO 8601 date or instant, or "never"' },
} as const

const repeatable = {
  'idempotency-key': {
    type: 'string',
    value: 'KEY',
    about: 'repeated under the same key within minutes, it is one call and shows the same token',
  },
} as const

export const tokenCommands: readonly Command[] = [
  {
    name: 'token create',
    about: 'Make a token; the answer is the only one that shows it',
    options: {
      ...account,
      name: { type: 'string', value: 'NAME', about: 'what people call it' },
      ...grants,
      ...expires,
      ...repeatable,
    },
    async run(context) {
      const { operations, values, actor, clock } = context
      const accountId = await readAccount(context)
      const expiry = optionText(values, 'expires')
      const created = await operations.issue.createToken(
        {
          accountId,
          name: readName(optionText(values, 'name')),
          grants: await readGrants(context, accountId),
          expiresAt: expiry === undefined ? null : readExpiry(expiry, clock.now()),
        },
        actor,
        readIdempotencyKey(values),
      )
      return showIssued(unwrap(created).value, context)
    },
  },
  {
    name: 'token list',
    about: 'List the tokens of an account',
    options: account,
    async run(context) {
      const now = context.clock.now()
      const tokens = await context.operations.store.listTokens(await readAccount(context))
      const rows = tokens.map((token) => [
        String(token.id),
        token.name,
        token.createdBy,
        accessText(token),
        `****${token.lastFour}`,
        endText(token, now),
      ])
      return {
        json: tokens.map((token) => tokenJson(token, now)),
        text: table([['ID', 'NAME', 'CREATED BY', 'ACCESS', 'TOKEN', 'ENDS'], ...rows]),
      }
    },
  },
  {
    name: 'token show',
    about: 'Show one token',
    positionals: ['ID'],
    async run(context) {
      const token = await context.operations.store.getToken(tokenId(context))
      if (token === undefined) {
        throw new CommandFailed('there is no such token: "postern token list" shows them')
      }
      return {
        json: tokenJson(token, context.clock.now()),
        text: tokenText(token, context.clock.now()),
      }
    },
  },
  {
    name: 'token reset',
    about: 'Replace a token; the old one works on until its window ends',
    positionals: ['ID'],
    options: {
      window: {
        type: 'string',
        value: 'DURATION',
        about: 'such as 12h; 0 ends the old token at once, for a leak',
      },
      ...expires,
      ...repeatable,
    },
    async run(context) {
      const { operations, values, actor, clock } = context
      const window = optionText(values, 'window')
      const expiry = optionText(values, 'expires')
      const request = {
        tokenId: tokenId(context),
        ...(window === undefined ? {} : { windowMs: readDuration(window) }),
        ...(expiry === undefined ? {} : { expiresAt: readExpiry(expiry, clock.now()) }),
      }
      const { value, receipt } = unwrap(
        await operations.reset.reset(request, actor, readIdempotencyKey(values)),
      )
      const { old, successor } = value
      const shown = showIssued(successor, context)
      const now = clock.now()
      const output = {
        json: { ...shown.json, replaces: old === undefined ? null : tokenJson(old, now) },
        text: `${shown.text}\nThe old token ${old === undefined ? 'is gone' : `${old.id} ${oldTokenText(old, now)}`}`,
      }
      return withReceipt(output, receipt)
    },
  },
  {
    name: 'token undo-reset',
    about: 'Take a reset back while its window runs; the successor stays',
    positionals: ['ID'],
    run: async (context) =>
      showChanged(await context.operations.reset.undo(tokenId(context), context.actor), context),
  },
  {
    name: 'token window',
    about: 'Let the reset window of a token end so long from now; 0 ends it at once',
    positionals: ['ID', 'DURATION'],
    async run(context) {
      const { operations, positionals, actor } = context
      const remainingMs = readDuration(positionals[1] ?? '')
      const changed = await operations.reset.changeWindow(tokenId(context), remainingMs, actor)
      return showChanged(changed, context)
    },
  },
  {
    name: 'token permissions',
    about: 'Replace the whole set of permissions of a token',
    positionals: ['ID'],
    options: grants,
    async run(context) {
      const { operations, actor } = context
      const token = await operations.store.getToken(tokenId(context))
      if (token === undefined) {
        throw new CommandFailed('there is no such token: "postern token list" shows them')
      }
      const wanted = await readGrants(context, token.accountId)
      const changed = await operations.revoke.replaceGrants(token.id, wanted, actor)
      return showChanged(changed, context)
    },
  },
  {
    name: 'token rate',
    about: 'Let a token send this often: 300/10s, off for no limit, or usual as all others',
    positionals: ['ID', 'RATE'],
    async run(context) {
      const { operations, positionals, actor } = context
      const rate = readTokenRate(positionals[1] ?? '')
      const changed = await operations.revoke.editToken({ tokenId: tokenId(context), rate }, actor)
      return showChanged(changed, context)
    },
  },
  {
    name: 'token delete',
    about: 'Delete a token at once; repeating it is harmless',
    positionals: ['ID'],
    async run(context) {
      const id = tokenId(context)
      const { receipt } = unwrap(await context.operations.revoke.deleteToken(id, context.actor))
      return withReceipt({ json: { id, deleted: true }, text: `Deleted token ${id}` }, receipt)
    },
  },
  {
    name: 'token reveal',
    about: 'Show a token again from its sealed copy; recorded in the audit trail',
    positionals: ['ID'],
    async run(context) {
      const id = tokenId(context)
      const { value } = unwrap(await context.operations.reveal(id, context.actor))
      return { json: { id, token: value }, text: value }
    },
  },
]

function tokenId({ positionals }: CommandContext): number {
  return readId(positionals[0], 'the token')
}

function showIssued({ record, bearerToken }: IssuedToken, { clock }: CommandContext) {
  return {
    json: { ...tokenJson(record, clock.now()), token: bearerToken },
    text: `${tokenText(record, clock.now())}\n${bearerToken}`,
  }
}

function showChanged(change: Outcome<TokenRecord>, { clock }: CommandContext) {
  const { value: token, receipt } = unwrap(change)
  const output = { json: tokenJson(token, clock.now()), text: tokenText(token, clock.now()) }
  return withReceipt(output, receipt)
}
