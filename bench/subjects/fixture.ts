import { digestToken, mintToken } from '../../src/core/token.ts'
import type { GrantRequest } from '../../src/service/ports/registry.ts'
import { openStore } from '../../src/store/store.ts'
import { createSeededBytes } from './seeded.ts'

/** Who sends in a run: tokens, each admin of one domain. The same for every subject, and for every run. */
export interface Sender {
  readonly token: string
  readonly domain: string
}

export interface Fixture {
  readonly senders: readonly Sender[]
  /** A domain that is there, and that none of the tokens administers. */
  readonly foreignDomain: string
  /** Manages the account over the API. */
  readonly adminToken: string
  /** Well formed, and nobody's. */
  readonly unknownToken: string
}

export const tokenPrefix = 'pst_'

export function createFixture({ tokens, domains }: { tokens: number; domains: number }): Fixture {
  const bytes = createSeededBytes(tokens)
  return {
    senders: Array.from({ length: tokens }, (_, i) => ({
      token: mintToken(tokenPrefix, bytes),
      // Haraka compares names below a registered suffix only; nothing leaves the machine.
      domain: `bench-sender-${i % domains}.com`,
    })),
    foreignDomain: 'bench-foreign.com',
    adminToken: mintToken(tokenPrefix, bytes),
    unknownToken: mintToken(tokenPrefix, bytes),
  }
}

/** Fills an empty database as the control plane would; answers the ids of the tokens, in the fixture's order. */
export async function fillStore(databaseUrl: string, fixture: Fixture) {
  const { senders, foreignDomain, adminToken } = fixture
  const store = await openStore(databaseUrl)
  try {
    await store.migrate()
    const at = Date.now()
    const actor = { name: 'bench', origin: 'cli' }
    const account = unwrap(await store.createAccount({ actor, at, name: 'Bench' }))
    const kept = (token: string) => ({
      digest: digestToken(token),
      lastFour: token.slice(-4),
      sealed: null,
    })
    const add = async (name: string) => {
      const token = kept(`the domain's own token of ${name}`)
      const request = { actor, at, accountId: account.id, name, state: 'verified', token } as const
      return unwrap(await store.addDomain(request)).domain.id
    }
    const domains = new Map<string, number>()
    for (const { domain } of senders) {
      if (!domains.has(domain)) domains.set(domain, await add(domain))
    }
    await add(foreignDomain)
    const ids: number[] = []
    const create = async (name: string, token: string, grant: GrantRequest) => {
      const request = { actor, at, accountId: account.id, name, expiresAt: null }
      return unwrap(await store.createToken({ ...request, grants: [grant], token: kept(token) })).id
    }
    await create('admin', adminToken, {
      resource: { type: 'account', id: account.id },
      level: 'admin',
    })
    for (const { token, domain } of senders) {
      const resource = { type: 'domain', id: domains.get(domain) ?? 0 } as const
      ids.push(await create(`token ${ids.length}`, token, { resource, level: 'admin' }))
    }
    return { accountId: account.id, ids }
  } finally {
    await store.close()
  }
}

function unwrap<T>(change: { done: true; value: T } | { done: false; refusal: unknown }): T {
  if (change.done) return change.value
  throw new Error(`the database could not be filled: ${JSON.stringify(change.refusal)}`)
}
