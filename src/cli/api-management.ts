import type { z } from 'zod'
import type { AskedToken } from '../service/explain.ts'
import type { Receipt } from '../service/ports/registry.ts'
import type { ApiAnswer, ApiCall, ApiClient } from './api-client.ts'
import { shapes } from './api-shapes.ts'
import { CommandFailed, UsageError } from './command.ts'
import type { Changed, Management, Page } from './management.ts'
import { readPages } from './read-pages.ts'
import { noSuchDomain, noSuchToken } from './refusal.ts'
import { resourcesJson } from './resources.ts'

/** Beyond the vendor's keys: what Postern knows of a token besides. */
const full = { view: 'full' }

/** What one token may do in its own account, over the management API of a gate. */
export function createApiManagement(api: ApiClient): Management {
  let accounts: Promise<z.output<typeof shapes.accounts>> | undefined

  function listAccounts() {
    accounts ??= api
      .call('GET', '/api/accounts')
      .then((answer) => read(shapes.accounts, answer, answer.body))
    return accounts
  }

  /** A token is of one account, and so is everything that it sees. */
  async function ownAccountId(): Promise<number> {
    const [own] = await listAccounts()
    if (own === undefined) throw new CommandFailed('this token has no account any more')
    return own.id
  }

  function read<S extends z.ZodType>(shape: S, { status }: ApiAnswer, part: unknown): z.output<S> {
    const parsed = shape.safeParse(part)
    if (!parsed.success) throw api.notTheApi(status)
    return parsed.data
  }

  /**
   * Whether the gate has nothing there that the token sees. Any service answers 404 to what it does not know: one that does
   * not know the token's own account is none, and must not pass for a gate where a token is gone.
   */
  async function isMissing({ status }: ApiAnswer): Promise<boolean> {
    if (status !== 404) return false
    await listAccounts()
    return true
  }

  /** Throws with `missing` when there is nothing there. */
  async function call(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    { missing = 'refused (404): Not Found', ...call }: ApiCall & { readonly missing?: string } = {},
  ): Promise<ApiAnswer> {
    const answer = await api.call(method, path, call)
    if (await isMissing(answer)) throw new CommandFailed(missing)
    return answer
  }

  function receiptOf(answer: ApiAnswer): Receipt | null {
    const { epoch, confirmed, fenced, ms } = readReceipt(answer.field('postern-revocation'))
    if (epoch === undefined) return null
    const isPending = answer.status === 202
    return {
      epoch,
      propagation: isPending ? 'pending' : 'confirmed',
      confirmed: confirmed ?? 0,
      fenced: fenced ?? 0,
      waitingFor: isPending ? read(shapes.pending, answer, answer.body).waiting_for : [],
      ms: ms ?? 0,
    }
  }

  function changed<S extends z.ZodType>(shape: S, answer: ApiAnswer): Changed<z.output<S>> {
    return { value: read(shape, answer, answer.body), receipt: receiptOf(answer) }
  }

  async function readPage<S extends z.ZodType>(
    shape: S,
    path: string,
    query: NonNullable<ApiCall['query']>,
  ): Promise<Page<z.output<S>>> {
    const answer = await call('GET', path, { query })
    return {
      items: read(shape.array(), answer, answer.body),
      hasMore: answer.field('link')?.includes('rel="next"') === true,
    }
  }

  /** True when it was there, or had been and was deleted: the gate waits for every node also when it was not. */
  async function remove(path: string): Promise<Changed<boolean>> {
    const answer = await api.call('DELETE', path)
    if (await isMissing(answer)) return { value: false, receipt: null }
    const receipt = receiptOf(answer)
    if (receipt === null) throw api.notTheApi(answer.status)
    return { value: true, receipt }
  }

  function tokenPath(tokenId: number, more = ''): string {
    return `/api/api_tokens/${tokenId}${more}`
  }

  async function changeToken(method: 'PATCH' | 'DELETE', path: string, body?: object) {
    const answer = await call(method, path, {
      query: full,
      ...(body && { body }),
      missing: noSuchToken,
    })
    return changed(shapes.token, answer)
  }

  return {
    listAccounts,

    async listDomains() {
      const accountId = await ownAccountId()
      const answer = await call('GET', '/api/domains')
      const { data } = answer.body as { data?: unknown }
      const domains = read(shapes.domain.array(), answer, data)
      return domains.map((domain) => ({ ...domain, accountId }))
    },

    async addDomain(accountId, name) {
      const answer = await call('POST', '/api/domains', {
        query: full,
        body: { domain: { domain_name: name } },
      })
      const { value, receipt } = changed(shapes.domain, answer)
      const token = read(shapes.domainToken, answer, answer.body)
      return { value: { domain: { ...value, accountId }, token }, receipt }
    },

    async removeDomain(domain) {
      // No domain has the id 0: what is answered is only whether its absence holds on every node.
      const { value, receipt } = await remove(`/api/domains/${domain?.id ?? 0}`)
      return { value: value ? domain : undefined, receipt }
    },

    async verifyDomain(domain, byWord) {
      if (byWord) throw new UsageError('--force is for whoever runs the gate: not over the API')
      const missing = noSuchDomain(domain.name)
      const answer = await call('POST', `/api/domains/${domain.id}/verify`, { missing })
      const { value, receipt } = changed(shapes.domain, answer)
      const { verification: check } = read(shapes.verification, answer, answer.body)
      return { value: { domain: { ...value, accountId: domain.accountId }, check }, receipt }
    },

    listTokens: ({ after, limit, search, onDomains }) =>
      readPages(
        (cursor = 0, size) =>
          readPage(shapes.token, '/api/api_tokens', {
            ...full,
            search,
            'domain_ids[]': onDomains?.map(String),
            after: String(cursor),
            limit: String(size),
          }),
        { start: after, limit },
      ),

    async findToken(tokenId) {
      const answer = await api.call('GET', tokenPath(tokenId), { query: full })
      return (await isMissing(answer)) ? undefined : read(shapes.token, answer, answer.body)
    },

    async createToken({ name, grants, expiresAt }, idempotencyKey) {
      const body = { name, resources: resourcesJson(grants), expires_at: isoOrNull(expiresAt) }
      const answer = await call('POST', '/api/api_tokens', { query: full, body, idempotencyKey })
      return changed(shapes.issued, answer)
    },

    async resetToken({ tokenId, windowMs, expiresAt }, idempotencyKey) {
      const body = {
        ...(windowMs !== undefined && { window: durationText(windowMs) }),
        ...(expiresAt !== undefined && { expires_at: isoOrNull(expiresAt) }),
      }
      const answer = await call('POST', tokenPath(tokenId, '/reset'), {
        query: full,
        body,
        idempotencyKey,
        missing: noSuchToken,
      })
      const { value: successor, receipt } = changed(shapes.issued, answer)
      return { value: { old: read(shapes.replaced, answer, answer.body), successor }, receipt }
    },

    undoReset: (tokenId) => changeToken('DELETE', tokenPath(tokenId, '/reset')),

    changeWindow: (tokenId, remainingMs) =>
      changeToken('PATCH', tokenPath(tokenId, '/reset'), { window: durationText(remainingMs) }),

    async editToken(tokenId, { name, grants, rate }) {
      if (rate !== undefined) {
        throw new UsageError('the rate of a token is for whoever runs the gate: not over the API')
      }
      return changeToken('PATCH', tokenPath(tokenId), {
        ...(name !== undefined && { name }),
        ...(grants && { resources: resourcesJson(grants) }),
      })
    },

    deleteToken: (tokenId) => remove(tokenPath(tokenId)),

    async revealToken(tokenId) {
      const answer = await call('POST', tokenPath(tokenId, '/reveal'), { missing: noSuchToken })
      return read(shapes.secret, answer, answer.body)
    },

    listAuditEvents: ({ before, limit }) =>
      readPages(
        (cursor, size) =>
          readPage(shapes.auditEvent, '/api/audit_events', {
            before: cursor === undefined ? undefined : String(cursor),
            limit: String(size),
          }),
        { start: before, limit },
      ),

    async explain(asked: AskedToken, from) {
      const about = 'tokenId' in asked ? { token_id: asked.tokenId } : { token: asked.bearerToken }
      const answer = await call('POST', '/api/explain', { body: { ...about, from } })
      return read(shapes.explanation, answer, answer.body)
    },
  }
}

/** `epoch=12, confirmed=3, fenced=0, ms=8.1` (RFC 9651). */
function readReceipt(field = ''): Readonly<Record<string, number>> {
  const members = [...field.matchAll(/(\w+)=([\d.]+)/g)]
  return Object.fromEntries(members.map(([, name, value]) => [name, Number(value)]))
}

function durationText(ms: number): string {
  if (ms === 0) return '0'
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
