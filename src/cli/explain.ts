import { optionText } from './arguments.ts'
import { type Command, UsageError } from './command.ts'

export const explainCommand: Command = {
  name: 'explain',
  about: 'May this token send as this address, and which rule decides?',
  options: {
    token: { type: 'string', value: 'TOKEN', about: 'the token; "-" reads it from standard input' },
    from: { type: 'string', value: 'ADDRESS', about: 'the sender, or its domain' },
    protocol: { type: 'string', value: 'http|smtp', about: 'both decide alike' },
  },
  async run({ operations, values, readStandardInput }) {
    const token = optionText(values, 'token')
    const from = optionText(values, 'from')
    const protocol = optionText(values, 'protocol') ?? 'http'
    if (token === undefined || from === undefined) {
      throw new UsageError('give --token and --from')
    }
    if (protocol !== 'http' && protocol !== 'smtp') {
      throw new UsageError(`--protocol is http or smtp, not "${protocol}"`)
    }
    const presented = token === '-' ? (await readStandardInput()).trim() : token
    const explanation = await operations.explain(presented, from)
    const { allowed, reason, domain, tokenId, accountId, rule } = explanation
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
