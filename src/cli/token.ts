import type { IssuedToken } from '../service/issue.ts'
import type { TokenRecord } from '../service/ports/registry.ts'
import {
  levels,
  optionText,
  readAccount,
  readDomainIds,
  readDuration,
  readExpiry,
  readGrants,
  readId,
  readIdempotencyKey,
  readLimit,
  readName,
  readTokenRate,
} from './arguments.ts'
import { type Command, CommandFailed, type ManagementContext } from './command.ts'
import type { Changed } from './management.ts'
import { accountOption, domainFilter, limitOption } from './options.ts'
import { answerAbsence, noSuchToken, withReceipt } from './refusal.ts'
import { accessText, endText, oldTokenText, tokenJson, tokenText } from './render.ts'

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
    values: levels,
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
      ...accountOption,
      name: { type: 'string', value: 'NAME', about: 'what people call it' },
      ...grants,
      ...expires,
      ...repeatable,
    },
    examples: [
      'token create --name newsletter --domain acme.test:admin',
      'token create --name boss --account-level admin --expires 2030-01-01',
    ],
    async manage(context) {
      const { management, values, clock } = context
      const accountId = await readAccount(context)
      const expiry = optionText(values, 'expires')
      const { value } = await management.createToken(
        {
          accountId,
          name: readName(optionText(values, 'name')),
          grants: await readGrants(context, accountId),
          expiresAt: expiry === undefined ? null : readExpiry(expiry, clock.now()),
        },
        readIdempotencyKey(values),
      )
      return showIssued(value, context)
    },
  },
  {
    name: 'token list',
    about: 'List the tokens of an account',
    options: {
      ...accountOption,
      ...domainFilter,
      search: {
        type: 'string',
        value: 'TEXT',
        about: 'part of a name, or the last four characters',
      },
      ...limitOption,
      after: { type: 'string', value: 'ID', about: 'only those with a higher id' },
    },
    examples: [
      'token list',
      'token list --search newsletter',
      'token list --domain acme.test --json',
    ],
    async manage(context) {
      const { management, values, clock } = context
      const now = clock.now()
      const accountId = await readAccount(context)
      const after = optionText(values, 'after')
      const search = optionText(values, 'search')
      const { items, hasMore } = await management.listTokens({
        accountId,
        search: search === undefined ? undefined : readName(search),
        onDomains: await readDomainIds(context, accountId),
        after: after === undefined ? 0 : readId(after, '--after'),
        limit: readLimit(values),
      })
      return {
        json: items.map((token) => tokenJson(token, now)),
        text: {
          columns: [
            { title: 'ID' },
            { title: 'NAME', shrinks: true },
            { title: 'CREATED BY', shrinks: true },
            { title: 'ACCESS' },
            { title: 'TOKEN' },
            { title: 'ENDS' },
          ],
          rows: items.map((token) => [
            String(token.id),
            token.name,
            token.createdBy,
            accessText(token),
            `****${token.lastFour}`,
            endText(token, now),
          ]),
          empty: 'No such tokens: make one with "postern token create --name NAME --domain DOMAIN"',
          more: hasMore ? `More: --after ${items.at(-1)?.id}` : undefined,
        },
      }
    },
  },
  {
    name: 'token show',
    about: 'Show one token',
    positionals: ['ID'],
    examples: ['token show 3'],
    async manage(context) {
      const token = await requireToken(context)
      const now = context.clock.now()
      return { json: tokenJson(token, now), text: tokenText(token, now) }
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
    examples: ['token reset 3', 'token reset 3 --window 0'],
    async manage(context) {
      const { management, values, clock } = context
      const window = optionText(values, 'window')
      const expiry = optionText(values, 'expires')
      const request = {
        tokenId: tokenId(context),
        ...(window === undefined ? {} : { windowMs: readDuration(window) }),
        ...(expiry === undefined ? {} : { expiresAt: readExpiry(expiry, clock.now()) }),
      }
      const { value, receipt } = await management.resetToken(request, readIdempotencyKey(values))
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
    examples: ['token undo-reset 3'],
    manage: async (context) =>
      showChanged(await context.management.undoReset(tokenId(context)), context),
  },
  {
    name: 'token window',
    about:
      'Shorten, extend or end the reset window of a token: it ends so long from now, 0 at once',
    positionals: ['ID', 'DURATION'],
    examples: ['token window 3 2h', 'token window 3 0'],
    async manage(context) {
      const remainingMs = readDuration(context.positionals[1] ?? '')
      const changed = await context.management.changeWindow(tokenId(context), remainingMs)
      return showChanged(changed, context)
    },
  },
  {
    name: 'token rename',
    about: 'Give a token another name',
    positionals: ['ID', 'NAME'],
    examples: ['token rename 3 "spring newsletter"'],
    async manage(context) {
      const name = readName(context.positionals[1])
      return showChanged(await context.management.editToken(tokenId(context), { name }), context)
    },
  },
  {
    name: 'token permissions',
    about: 'Replace the whole set of permissions of a token',
    positionals: ['ID'],
    options: grants,
    examples: ['token permissions 3 --domain acme.test:viewer --domain acme.example'],
    async manage(context) {
      const { id, accountId } = await requireToken(context)
      const wanted = await readGrants(context, accountId)
      return showChanged(await context.management.editToken(id, { grants: wanted }), context)
    },
  },
  {
    name: 'token rate',
    about: 'Let a token send this often: 300/10s, off for no limit, or usual as all others',
    positionals: ['ID', 'RATE'],
    examples: ['token rate 3 300/10s', 'token rate 3 usual'],
    async manage(context) {
      const rate = readTokenRate(context.positionals[1] ?? '')
      return showChanged(await context.management.editToken(tokenId(context), { rate }), context)
    },
  },
  {
    name: 'token delete',
    about: 'Delete a token at once; repeating it is harmless',
    positionals: ['ID'],
    examples: ['token delete 3'],
    async manage(context) {
      const id = tokenId(context)
      const { value: deleted, receipt } = await context.management.deleteToken(id)
      if (!deleted) return answerAbsence(noSuchToken, { id, deleted }, receipt)
      return withReceipt({ json: { id, deleted }, text: `Deleted token ${id}` }, receipt)
    },
  },
  {
    name: 'token reveal',
    about: 'Show a token again from its sealed copy; recorded in the audit trail',
    positionals: ['ID'],
    examples: ['token reveal 3'],
    async manage(context) {
      const id = tokenId(context)
      const token = await context.management.revealToken(id)
      return { json: { id, token }, text: token }
    },
  },
]

function tokenId({ positionals }: ManagementContext): number {
  return readId(positionals[0], 'the token')
}

async function requireToken(context: ManagementContext): Promise<TokenRecord> {
  const token = await context.management.findToken(tokenId(context))
  if (token === undefined) throw new CommandFailed(noSuchToken)
  return token
}

function showIssued({ record, bearerToken }: IssuedToken, { clock }: ManagementContext) {
  return {
    json: { ...tokenJson(record, clock.now()), token: bearerToken },
    text: `${tokenText(record, clock.now())}\n${bearerToken}`,
  }
}

function showChanged(
  { value: token, receipt }: Changed<TokenRecord>,
  { clock }: ManagementContext,
) {
  const output = { json: tokenJson(token, clock.now()), text: tokenText(token, clock.now()) }
  return withReceipt(output, receipt)
}
