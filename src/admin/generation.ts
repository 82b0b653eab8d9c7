/**
 * The vendor's API exists in two generations of paths, both in use. Each is answered in its own words; whatever a client
 * sends is understood in either.
 */
export interface Generation {
  readonly prefix: '/api' | '/api/accounts/{account_id}'
  /** Before the names of schemas, which differ in their words. */
  readonly schemaPrefix: '' | 'AccountPath'
  /** What a domain is called, as a resource and as the wrapper of a body. */
  readonly domainWord: 'domain' | 'sending_domain'
  readonly domainsPath: '/domains' | '/sending_domains'
  readonly sandboxesFilter: 'sandbox_ids[]' | 'inbox_ids[]'
}

export const currentPaths: Generation = {
  prefix: '/api',
  schemaPrefix: '',
  domainWord: 'domain',
  domainsPath: '/domains',
  sandboxesFilter: 'sandbox_ids[]',
}

export const accountPaths: Generation = {
  prefix: '/api/accounts/{account_id}',
  schemaPrefix: 'AccountPath',
  domainWord: 'sending_domain',
  domainsPath: '/sending_domains',
  sandboxesFilter: 'inbox_ids[]',
}
