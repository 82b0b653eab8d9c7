import { auditedState } from '../core/audited-state.ts'
import { challengeRecord } from '../core/challenge.ts'
import { confirmAbsence, isAbsence } from '../service/confirm.ts'
import type { AccountDomain, Actor } from '../service/ports/registry.ts'
import { CommandFailed, type Operations } from './command.ts'
import type { ManagedDomain, Management, Page } from './management.ts'
import { readPages } from './read-pages.ts'
import { noSuchDomain, unwrap } from './refusal.ts'
import { resourcesJson } from './resources.ts'

/** The store of this machine: whoever may open it may do everything. */
export function createLocalManagement(operations: Operations, actor: Actor): Management {
  const { store, issue, reset, revoke, reveal, verify, confirm, explain } = operations
  const keyOf = (key: string | undefined) => (key === undefined ? undefined : { scope: 'cli', key })
  const absence = () => confirmAbsence(confirm, store)

  return {
    listAccounts: () => store.listAccounts(),

    listDomains: async (accountId) => (await store.listDomains(accountId)).map(managedDomain),

    async addDomain(accountId, name) {
      // Whoever runs the gate need not prove that a domain is theirs.
      const request = { accountId, name, state: 'verified' } as const
      const { value, receipt } = unwrap(await issue.addDomain(request, actor))
      const { record, bearerToken } = value.token
      const token = { id: record.id, name: record.name, bearerToken }
      return { value: { domain: managedDomain(value.domain), token }, receipt }
    },

    async removeDomain(domain) {
      const removed = domain && (await revoke.removeDomain(domain.id, actor))
      if (removed === undefined || isAbsence(removed)) {
        return { value: undefined, receipt: await absence() }
      }
      return unwrap(removed)
    },

    async verifyDomain({ id }, byWord) {
      if (byWord) {
        const { value, receipt } = unwrap(await verify.byWord(id, actor))
        return { value: { domain: managedDomain(value), check: null }, receipt }
      }
      const domain = await store.getDomain(id)
      if (domain === undefined) throw new CommandFailed(noSuchDomain(String(id)))
      const { outcome, check } = await verify.onRequest(domain, actor)
      const { value, receipt } = unwrap(outcome)
      return { value: { domain: managedDomain(value), check }, receipt }
    },

    listTokens: ({ accountId, after, limit, ...query }) =>
      readPages(
        async (cursor = 0, size) => {
          const request = { accountId, after: cursor, limit: size + 1, ...query }
          return cut(await store.pageTokens(request), size)
        },
        { start: after, limit },
      ),

    findToken: (tokenId) => store.getToken(tokenId),

    createToken: async (request, key) =>
      unwrap(await issue.createToken(request, actor, keyOf(key))),

    resetToken: async (request, key) => unwrap(await reset.reset(request, actor, keyOf(key))),

    undoReset: async (tokenId) => unwrap(await reset.undo(tokenId, actor)),

    changeWindow: async (tokenId, remainingMs) =>
      unwrap(await reset.changeWindow(tokenId, remainingMs, actor)),

    async editToken(tokenId, { name, grants, rate }) {
      const edit = { tokenId, name, rate, ...(grants && { grants: () => grants }) }
      return unwrap(await revoke.editToken(edit, actor))
    },

    async deleteToken(tokenId) {
      const deleted = await revoke.deleteToken(tokenId, actor)
      if (isAbsence(deleted)) return { value: false, receipt: await absence() }
      return { value: true, receipt: unwrap(deleted).receipt }
    },

    revealToken: async (tokenId) => unwrap(await reveal(tokenId, actor)).value,

    listAuditEvents: ({ accountId, before, limit }) =>
      readPages(
        async (cursor, size) => {
          const about = accountId === undefined ? {} : { accountId }
          const read = await store.listAuditEvents({ ...about, before: cursor, limit: size + 1 })
          const entries = read.map(({ accountId: _, ...event }) => ({
            ...event,
            before: auditedState(event.before, resourcesJson),
            after: auditedState(event.after, resourcesJson),
          }))
          return cut(entries, size)
        },
        { start: before, limit },
      ),

    explain,
  }
}

function managedDomain({ proof, ...domain }: AccountDomain): ManagedDomain {
  const dnsRecord = proof && {
    ...challengeRecord(domain.name, proof.challenge),
    status: proof.status,
  }
  return { ...domain, dnsRecord }
}

/** One more was read than asked for. */
function cut<T>(read: readonly T[], size: number): Page<T> {
  return { items: read.slice(0, size), hasMore: read.length > size }
}
