import type { AskedToken } from '../service/explain.ts'
import { optionText, readId } from './arguments.ts'
import { type Command, type ManagementContext, UsageError } from './command.ts'

const protocols = ['http', 'smtp'] as const

export const explainCommand: Command = {
  name: 'explain',
  about: 'May this token send as this address, and which rule decides?',
  options: {
    token: {
      type: 'string',
      value: 'TOKEN',
      about: 'the token that it is about; "-" reads it from standard input',
    },
    'token-id': { type: 'string', value: 'ID', about: 'the same by its id' },
    from: { type: 'string', value: 'ADDRESS', about: 'the sender, or its domain' },
    protocol: {
      type: 'string',
      value: 'PROTOCOL',
      values: protocols,
      about: 'http or smtp; both decide alike',
    },
  },
  examples: [
    'explain --token-id 3 --from hello@acme.test',
    'explain --token - --from acme.test < token.txt',
  ],
  async manage(context) {
    const { management, values } = context
    const from = optionText(values, 'from')
    const given = optionText(values, 'protocol') ?? 'http'
    const protocol = protocols.find((one) => one === given)
    if (protocol === undefined) {
      throw new UsageError(`--protocol is http or smtp, not "${given}"`)
    }
    if (from === undefined) throw new UsageError('give --from ADDRESS')
    const asked = await readAsked(context)
    const { allowed, reason, domain, tokenId, accountId, rule } = await management.explain(
      asked,
      from,
    )
    return {
      json: {
        allowed,
        reason,
        rule,
        domain,
        token_id: tokenId,
        account_id: accountId,
        protocol,
      },
      text: `${allowed ? 'Allowed' : `Refused (${reason})`}: ${rule}`,
    }
  },
}

async function readAsked({ values, readStandardInput }: ManagementContext): Promise<AskedToken> {
  const token = optionText(values, 'token')
  const id = optionText(values, 'token-id')
  if (id !== undefined && token === undefined) return { tokenId: readId(id, '--token-id') }
  if (id !== undefined || token === undefined) {
    throw new UsageError('give either --token TOKEN or --token-id ID')
  }
  return { bearerToken: token === '-' ? (await readStandardInput()).trim() : token }
}
