import { notedResponse } from './answer-log.ts'
import { type Answer, type Ask, createApiClient, json } from './api-client.ts'
import { createWorkplace, type RunningProgram, type Workplace } from './program.ts'

/** A running gate with two accounts, and an admin of the first that calls its API. */
export interface ApiGate {
  readonly place: Workplace
  readonly gate: RunningProgram
  readonly admin: { readonly id: number; readonly token: string }
  readonly ask: Ask
  /** What the description was held against: `GET /api/api_tokens 200`. */
  readonly seen: ReadonlySet<string>
  /** A token of the first account, made by its admin. */
  make(name: string, resources: readonly object[]): Promise<{ id: number; token: string }>
  /** Whether a message from this domain is let through: 200, 401 or 403. */
  send(bearerToken: string, domain?: string): Promise<number>
}

export const onAccount = { resource_type: 'account', resource_id: 1, access_level: 100 }
export const onDomain = { resource_type: 'domain', resource_id: 1, access_level: 100 }
export const onOtherDomain = { resource_type: 'domain', resource_id: 2, access_level: 100 }

/** Account 1 has acme.test (domain 1, token 1) and acme.example (2, 2); account 2 has other.test (3, 3). */
export async function startApiGate(settings: Record<string, string> = {}): Promise<ApiGate> {
  const place = createWorkplace({ POSTERN_TOKEN_RATE: '150/10s', ...settings })
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  await place.json('domain', 'add', 'acme.example')
  await place.json('account', 'create', 'Other')
  await place.json('domain', 'add', 'other.test', '--account', '2')
  const call = ['token', 'create', '--account', '1', '--name', 'Boss', '--account-level', 'admin']
  const admin = await place.json(...call)
  const gate = await place.start('dev')
  const { ask, description } = await createApiClient(gate.ready.admin, admin.token)

  return {
    place,
    gate,
    admin,
    ask,
    seen: description.seen,
    async make(name, resources) {
      const made = await ask('POST', '/api/api_tokens', json({ name, resources }))
      if (made.status !== 200) throw new Error(`no token: ${JSON.stringify(made.body)}`)
      return made.body
    },
    async send(bearerToken, domain = 'acme.test') {
      const sent = fetch(`${gate.ready.http}/api/send`, {
        method: 'POST',
        headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          from: { email: `a@${domain}` },
          to: [{ email: 'b@c.test' }],
          subject: 'x',
          text: 'x',
        }),
      })
      return (await notedResponse(await sent)).status
    },
  }
}

export function idsOf({ body }: Answer): number[] {
  return body.map(({ id }: { id: number }) => id)
}
