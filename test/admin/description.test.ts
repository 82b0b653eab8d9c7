import { afterAll, beforeAll, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** The served description, held against what is served. */

let api: ApiGate
let paths: Record<string, Record<string, { responses: Record<string, unknown> }>>

beforeAll(async () => {
  api = await startApiGate()
  const served = await fetch(`${api.gate.ready.admin}/openapi.json`)
  paths = ((await served.json()) as { paths: typeof paths }).paths
}, 60_000)
afterAll(() => api.place.remove())

/** One call of each operation that does what it is for. */
async function callEach(prefix: string, domains: string, domainName: string) {
  const { ask } = api
  const { id } = await api.make('app', [onDomain])
  const token = `${prefix}/api_tokens/${id}`
  const access = `${prefix}/account_accesses/${id}`
  await ask('GET', `${prefix}/api_tokens`)
  await ask('POST', `${prefix}/api_tokens`, json({ name: 'x', resources: [onDomain] }))
  await ask('GET', token)
  await ask('PATCH', token, json({ name: 'y' }))
  await ask('POST', `${token}/reveal`)
  await ask('PUT', `${access}/permissions/bulk`, json({ permissions: [onDomain] }))
  await ask('POST', `${token}/reset`)
  await ask('PATCH', `${token}/reset`, json({ window: '1h' }))
  await ask('DELETE', `${token}/reset`)
  await ask('DELETE', token)
  await ask('DELETE', access)
  await ask('GET', `${prefix}/account_accesses?specifier_type=ApiToken`)
  const made = await ask('POST', prefix + domains, json({ domain: { domain_name: domainName } }))
  const domain = `${prefix}${domains}/${made.body.id}`
  await ask('GET', prefix + domains)
  await ask('GET', domain)
  await ask('PATCH', domain, json({ domain: {} }))
  await ask('POST', `${domain}/verify`)
  await ask('DELETE', domain)
  await ask('GET', `${prefix}/permissions/resources`)
  await ask('GET', `${prefix}/audit_events`)
  await ask('POST', `${prefix}/explain`, json({ token_id: 1, from: 'a@acme.test' }))
}

test('every operation that is described is served, and answers as it is described', async () => {
  await api.ask('GET', '/api/accounts')
  await callEach('/api', '/domains', 'one.test')
  await callEach('/api/accounts/1', '/sending_domains', 'two.test')
  const described = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { responses }]) => {
      const success = ['200', '204'].find((status) => status in responses)
      return `${method.toUpperCase()} ${path} ${success}`
    }),
  )
  expect(described.length).toBeGreaterThan(40)
  expect(described.filter((operation) => !api.seen.has(operation))).toEqual([])
})

test('a client that is made from it finds each schema that it is pointed to', async () => {
  const served = await (await fetch(`${api.gate.ready.admin}/openapi.json`)).text()
  const { components } = JSON.parse(served)
  const named = [...served.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name)
  expect(named.length).toBeGreaterThan(100)
  expect(named.filter((name) => !(String(name) in components.schemas))).toEqual([])
})
