import { randomBytes } from 'node:crypto'
import { defaultTokenPrefix, mintToken } from '../../src/core/token.ts'
import type { RunningProgram, Workplace } from '../helpers/program.ts'

/** Why a token may be refused; to its client all of them are one. */
export const refusedKinds = ['unknown', 'malformed', 'expired', 'deleted'] as const
export type RefusedKind = (typeof refusedKinds)[number]
export type RefusedTokens = Readonly<Record<RefusedKind, string>>

/** How many calls of the management API one token may make in its window, with room to spare. */
const callsOfAnAdmin = 100

/** Makes tokens of every kind at a running gate, on an account and a domain that are there. */
export async function createRefusedTokens(
  place: Workplace,
  gate: RunningProgram,
  count: number,
): Promise<RefusedTokens[]> {
  let admin = ''
  let calls = 0
  async function call(method: string, path: string, body?: object): Promise<any> {
    if (calls++ % callsOfAnAdmin === 0) {
      const made = [
        'token',
        'create',
        '--name',
        'admin',
        '--account',
        '1',
        '--account-level',
        'admin',
      ]
      admin = (await place.json(...made)).token
    }
    const answer = await fetch(gate.ready.admin + path, {
      method,
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return answer.status === 204 ? undefined : answer.json()
  }
  const resources = [{ resource_type: 'domain', resource_id: 1, access_level: 100 }]
  const create = (name: string) => call('POST', '/api/api_tokens', { name, resources })

  const made: RefusedTokens[] = []
  for (let i = 0; i < count; i++) {
    const ended = await create('ended')
    await call('POST', `/api/api_tokens/${ended.id}/reset`, { window: '0' })
    const deleted = await create('deleted')
    await call('DELETE', `/api/api_tokens/${deleted.id}`)
    made.push({
      unknown: mintToken(defaultTokenPrefix, randomBytes),
      malformed: `${mintToken(defaultTokenPrefix, randomBytes).slice(0, -6)}000000`,
      expired: ended.token,
      deleted: deleted.token,
    })
  }
  return made
}
