import { setTimeout as delay } from 'node:timers/promises'
import { createKeyRing } from './assertion/key-ring.ts'
import { createSeal, type Seal } from './assertion/seal.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { createConfirmation } from './fleet/confirmation.ts'
import { createDatabaseClock, type DatabaseClock } from './fleet/database-clock.ts'
import type { Log } from './log.ts'
import type { Random } from './random.ts'
import { readSealKey } from './seal-key.ts'
import { createAuthenticator } from './service/authenticate.ts'
import { createCallers } from './service/callers.ts'
import { createExplain } from './service/explain.ts'
import { createImportTokens } from './service/import-tokens.ts'
import { createIssue } from './service/issue.ts'
import { createManagedAccount } from './service/managed-account.ts'
import { createManagedDomains } from './service/managed-domains.ts'
import { createManagedTokens } from './service/managed-tokens.ts'
import { createMint } from './service/mint.ts'
import type { Receipt } from './service/ports/registry.ts'
import { createReset } from './service/reset.ts'
import { createReveal } from './service/reveal.ts'
import { createRevoke } from './service/revoke.ts'
import { createVerifyDomain } from './service/verify-domain.ts'
import { openStore, type Store } from './store/store.ts'
import { createTxtLookup } from './txt-lookup.ts'

export interface System {
  readonly clock: Clock
  readonly random: Random
}

export type ControlPlane = Awaited<ReturnType<typeof openControlPlane>>

/**
 * Opens the store and the services over it: what every command, and the gateway itself, works with. `announce` tells other
 * processes of a change by a faster way than the database has.
 */
export async function openControlPlane(
  config: Config,
  {
    clock: ownClock,
    random,
    log,
    announce = () => {},
    onReceipt = () => {},
  }: System & {
    readonly log: Pick<Log, 'warn'>
    readonly announce?: () => void
    readonly onReceipt?: (receipt: Receipt) => void
  },
) {
  const { store, applied } = await openDatabase(config)
  try {
    const clock = await setByDatabase(ownClock, store)
    const confirmation = createConfirmation({
      registry: store,
      clock,
      log,
      announce,
      holdMs: config.leaseMs + config.outage.graceMs,
    })
    async function confirm(epoch: number): Promise<Receipt> {
      const receipt = await confirmation.confirm(epoch)
      onReceipt(receipt)
      return receipt
    }
    const seal = lazySeal(() => openSeal(config, store, { clock, random }))
    const { tokenPrefix, resetWindowMs, domainCheckMs: firstCheckMs } = config
    const mint = createMint({
      random,
      tokenPrefix,
      seal,
      keepsCopies: config.sealTokens,
    })
    const authenticator = createAuthenticator({ lookup: store, clock, tokenPrefix })
    const issue = createIssue({ registry: store, mint, confirm, clock, random, firstCheckMs })
    const reset = createReset({ registry: store, mint, confirm, clock, resetWindowMs })
    const revoke = createRevoke({ registry: store, confirm, clock })
    const reveal = createReveal({ registry: store, openSealed: seal.open, clock })
    const verify = createVerifyDomain({
      registry: store,
      lookUpTxt: createTxtLookup(config.dnsResolvers),
      confirm,
      clock,
      firstCheckMs,
    })
    const services = {
      registry: store,
      authenticator,
      issue,
      reset,
      revoke,
      reveal,
      verify,
      confirm,
      clock,
    }
    return {
      store,
      applied,
      clock,
      authenticator,
      keyRing: createKeyRing({ secrets: store, seal, clock }),
      issue,
      reset,
      revoke,
      reveal,
      verify,
      /** The services as a token may use them that calls the management API. */
      management: {
        findCaller: createCallers(services),
        tokens: createManagedTokens(services),
        domains: createManagedDomains({ ...services, accountDomains: config.accountDomains }),
        account: createManagedAccount(services),
      },
      importTokens: createImportTokens({
        registry: store,
        seal: config.sealTokens ? seal.close : undefined,
        confirm,
        clock,
        wait: delay,
      }),
      tokenPrefix,
      explain: createExplain(services),
      confirm,
      async close() {
        await confirmation.settled()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** All who share a database go by its clock. SQLite's is this machine's own. */
async function setByDatabase(ownClock: Clock, store: Store): Promise<DatabaseClock> {
  const clock = createDatabaseClock(ownClock)
  if (store.dialect === 'sqlite') return clock
  const askedAt = clock.monotonic()
  clock.set(await store.readClock(), askedAt, clock.monotonic())
  return clock
}

/** The error names the setting, and never the URL: it may hold a password. */
async function openDatabase({
  databaseUrl,
  databasePool,
}: Config): Promise<{ store: Store; applied: string[] }> {
  let store: Store | undefined
  try {
    store = await openStore(databaseUrl, { maxConnections: databasePool })
    return { store, applied: await store.migrate() }
  } catch (error) {
    await store?.close()
    const sentence = `the database of POSTERN_DATABASE_URL cannot be used: ${reasonOf(error)}`
    throw new Error(sentence, { cause: error })
  }
}

/** A host with several addresses fails once for each, and says nothing of all. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/**
 * The signing key in the store is the proof of the seal key: a wrong one would seal what nobody else could open, and is
 * found before it seals anything. So the signing key is made with the first thing that is sealed.
 */
async function openSeal(config: Config, store: Store, { clock, random }: System): Promise<Seal> {
  const inUse = (await store.listSecrets('signing-key')).length > 0
  const makeWith = store.dialect === 'sqlite' ? random : undefined
  const seal = createSeal(readSealKey(config.sealKeyFile, { makeWith, inUse }))
  await createKeyRing({ secrets: store, seal, clock }).current()
  return seal
}

/** Most commands never seal or open anything, and must not fail for want of the key. */
function lazySeal(open: () => Promise<Seal>): Seal {
  let opening: Promise<Seal> | undefined
  function seal() {
    opening ??= open().catch((error) => {
      opening = undefined
      throw error
    })
    return opening
  }
  return {
    close: async (plaintext) => (await seal()).close(plaintext),
    open: async (sealed) => (await seal()).open(sealed),
  }
}
