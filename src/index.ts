/** `postern`: the decision, for a program of your own. `postern/middleware` and `postern/smtp` put it into an edge. */
import { systemClock } from './clock.ts'
import { defaultTokenPrefix } from './core/token.ts'
import { type Authenticator, createAuthenticator } from './service/authenticate.ts'
import { openStore } from './store/store.ts'

export type { Decision, Principal } from './core/decide.ts'
export type { Denial, DenialReason } from './core/denial.ts'
export { normaliseDomain } from './core/domain.ts'
export { type Authenticator, createAuthenticator } from './service/authenticate.ts'
export type { Lookup } from './service/ports/lookup.ts'
export type { PresentedToken } from './service/ports/presented-token.ts'

export interface Gate {
  readonly authenticator: Authenticator
  close(): Promise<void>
}

/**
 * Opens a gate over the database that `postern` manages: `sqlite:PATH` or `postgres://…`. Throws when it cannot be opened.
 */
export async function openGate({
  databaseUrl,
  tokenPrefix = defaultTokenPrefix,
}: {
  readonly databaseUrl: string
  readonly tokenPrefix?: string
}): Promise<Gate> {
  const store = await openStore(databaseUrl)
  await store.migrate()
  const authenticator = createAuthenticator({ lookup: store, clock: systemClock, tokenPrefix })
  return { authenticator, close: () => store.close() }
}
