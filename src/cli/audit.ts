import { optionText, readAnyAccount, readId, readLimit } from './arguments.ts'
import type { Command } from './command.ts'
import type { AuditEntry } from './management.ts'
import { accountOption, limitOption } from './options.ts'
import { instantText } from './render.ts'

const defaultLimit = 100

export const auditCommand: Command = {
  name: 'audit list',
  about: 'Who did what to which token or domain, from where, and when; newest first',
  options: {
    ...accountOption,
    limit: {
      ...limitOption.limit,
      about: `${limitOption.limit.about}: ${defaultLimit} if not said`,
    },
    before: { type: 'string', value: 'ID', about: 'only what is older than this event' },
  },
  examples: ['audit list --limit 20', 'audit list --json'],
  async manage(context) {
    const { management, values } = context
    const before = optionText(values, 'before')
    const { items, hasMore } = await management.listAuditEvents({
      accountId: await readAnyAccount(context),
      before: before === undefined ? undefined : readId(before, '--before'),
      limit: readLimit(values) ?? defaultLimit,
    })
    return {
      json: items.map(eventJson),
      text: {
        columns: [
          { title: 'ID' },
          { title: 'AT' },
          { title: 'WHO', shrinks: true },
          { title: 'FROM' },
          { title: 'ACTION' },
          { title: 'ON' },
        ],
        rows: items.map(({ id, at, actor, origin, action, subject }) => [
          String(id),
          instantText(at),
          actor,
          origin,
          action,
          `${subject.type} ${subject.id}`,
        ]),
        empty: 'Nothing has happened yet',
        more: hasMore ? `Older ones: --before ${items.at(-1)?.id}` : undefined,
      },
    }
  },
}

function eventJson({ actor, actorTokenId, origin, at, ...event }: AuditEntry) {
  return {
    id: event.id,
    at: new Date(at).toISOString(),
    actor: { name: actor, token_id: actorTokenId, origin },
    action: event.action,
    subject: event.subject,
    before: event.before,
    after: event.after,
  }
}
