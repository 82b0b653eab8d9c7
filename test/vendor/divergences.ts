/** Where answers differ from the vendor's description on purpose. */
export interface Divergence {
  /** `GET /api/domains/{domain_id} 200` */
  readonly answers: RegExp
  readonly says: RegExp
  /** The first column of its row in docs/divergences.md. */
  readonly row: string
}

const status = /^the status is not described$/
const usualRefusals =
  'any call may be answered with 400, 413, 422, 429 or 503, described or not; one of the sending routes also with 404, 415, 417, 431, 502 or 504'

export const divergences: readonly Divergence[] = [
  { answers: / (?:400|413|422|429|503)$/, says: status, row: usualRefusals },
  {
    answers: /^POST \/api\/(?:send|batch)\b.* (?:404|415|417|431|502|504)$/,
    says: status,
    row: usualRefusals,
  },
  {
    answers: /^(?:POST|PUT|PATCH|DELETE) \/api\/(?:api_tokens|account_accesses|domains)\b.* 202$/,
    says: status,
    row: 'a change that is not yet confirmed on every gate is 202',
  },
  {
    answers: /^GET \/api\/api_tokens 403$/,
    says: status,
    row: 'the list of tokens is 403 where its path names another account',
  },
  {
    answers: /^POST \/api\/batch\b.* 403$/,
    says: status,
    row: 'one sender in a batch that may not be used refuses the whole batch',
  },
  {
    answers: /^GET \/api\/(?:projects|billing\/usage) 404$/,
    says: status,
    row: '`send_setup_instructions`, `company_info`, billing, projects, inboxes, organisations are 404',
  },
  {
    answers: /^(?:GET|POST|PATCH) \/api\/domains\b.* 200$/,
    says: /: (?:tracking_opt_out_enabled|inbound_enabled|inbound_verified) is not described$/,
    row: 'a domain has `tracking_opt_out_enabled`, `inbound_enabled` and `inbound_verified`',
  },
  {
    answers: /^GET \/api\/account_accesses 200$/,
    says: /^\/\*\/specifier\/expires_at: must be string$/,
    row: '`expires_at` in the list of accesses is null for a token that does not end',
  },
  {
    answers: /^POST \/api\/batch\b.* 200$/,
    says: /must have required property '(?:errors|message_ids)'$/,
    row: 'in the answer to a batch a message has `message_ids` or `errors`, and the whole has no `errors`',
  },
]
