import { MailtrapClient } from 'mailtrap'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readDescription } from '../helpers/api-description.ts'
import { type ApiGate, startApiGate } from '../helpers/api-gate.ts'

/** The npm package mailtrap, unmodified: every call of its general and sending-domain clients that has a counterpart. */

let api: ApiGate
let client: any

beforeAll(async () => {
  api = await startApiGate()
  client = await clientOf(api.admin.token)
}, 60_000)
afterAll(() => api.place.remove())

/** Points the package at the gate, and holds each answer against the served description before the package reads it. */
async function clientOf(token: string, accountId = 1): Promise<any> {
  const base = api.gate.ready.admin
  const description = readDescription(await (await fetch(`${base}/openapi.json`)).json())
  const made = new MailtrapClient({ token, accountId }) as any
  made.axios.interceptors.request.use((config: any) => {
    const { pathname, search } = new URL(config.url)
    config.url = base + pathname + search
    config.transformResponse = [
      (text: string, headers: any, status: number) => {
        const contentType = headers['content-type'] ?? null
        description.check(config.method, pathname, { status, contentType, text })
        return text === '' ? undefined : JSON.parse(text)
      },
    ]
    return config
  })
  return made
}

test('tokens', async () => {
  const { apiTokens } = client.general
  const resources = [{ resource_type: 'sending_domain', resource_id: '1', access_level: 100 }]
  const made = await apiTokens.create({ name: 'SDK', resources })
  expect(made).toMatchObject({ name: 'SDK', token: expect.any(String), created_by: 'Boss' })
  expect(await apiTokens.get(made.id)).toEqual({
    id: made.id,
    name: 'SDK',
    last_4_digits: made.token.slice(-4),
    created_by: 'Boss',
    expires_at: null,
    resources: [{ resource_type: 'sending_domain', resource_id: 1, access_level: 100 }],
  })
  expect((await apiTokens.getList()).map(({ id }: { id: number }) => id)).toContain(made.id)
  // An empty form, as the package sends it.
  const successor = await apiTokens.reset(made.id)
  expect(successor).toMatchObject({ name: `SDK ${successor.id}`, token: expect.any(String) })
  const other = await apiTokens.reset(successor.id, { expires_at: null })
  expect(other.expires_at).toBeNull()
  await apiTokens.delete(made.id)
  await expect(apiTokens.get(made.id)).rejects.toThrow('Not Found')
})

test('accounts and accesses', async () => {
  const { accounts, accountAccesses, apiTokens } = client.general
  expect(await accounts.getAllAccounts()).toEqual([{ id: 1, name: 'Acme', access_levels: [100] }])
  expect(await accountAccesses.listAccountAccesses()).toEqual([])
  const filters = { domainUuids: ['a', 'b'], inboxIds: [1], projectIds: [2] }
  expect(await accountAccesses.listAccountAccesses(filters)).toEqual([])
  const resources = [{ resource_type: 'sending_domain', resource_id: 1, access_level: 'viewer' }]
  const made = await apiTokens.create({ name: 'x', resources })
  expect(await accountAccesses.removeAccountAccess(made.id)).toEqual({ id: made.id })
  await expect(apiTokens.get(made.id)).rejects.toThrow('Not Found')
})

test('permissions', async () => {
  const { permissions, apiTokens } = client.general
  const resources = [{ resource_type: 'account', resource_id: 1, access_level: 10 }]
  const made = await apiTokens.create({ name: 'x', resources })
  const changed = await permissions.bulkPermissionsUpdate(made.id, [
    { resourceId: '1', resourceType: 'mailsend_domain', accessLevel: 'admin' },
    { resourceId: '2', resourceType: 'sending_domain', accessLevel: 10 },
    { resourceId: '1', resourceType: 'account', destroy: true },
  ])
  expect(changed).toEqual({ message: 'Permissions have been updated!' })
  expect((await apiTokens.get(made.id)).resources).toEqual([
    { resource_type: 'sending_domain', resource_id: 1, access_level: 100 },
    { resource_type: 'sending_domain', resource_id: 2, access_level: 10 },
  ])
  // The package asks for the list of accesses here: its own mistake, and answered all the same.
  expect(await permissions.getResources()).toEqual([])
})

test('domains', async () => {
  const { sendingDomains } = client
  const made = await sendingDomains.create({ domain_name: 'sdk.test' })
  expect(made).toMatchObject({ domain_name: 'sdk.test', dns_verified: true })
  expect(await sendingDomains.get(made.id)).toEqual(made)
  const { data } = await sendingDomains.getList()
  expect(data.map(({ domain_name }: any) => domain_name)).toEqual([
    'acme.example',
    'acme.test',
    'sdk.test',
  ])
  expect(await sendingDomains.update(made.id, { open_tracking_enabled: false })).toEqual(made)
  await expect(sendingDomains.update(made.id, { click_tracking_enabled: true })).rejects.toThrow(
    "can't be switched on",
  )
  await expect(sendingDomains.create({ domain_name: 'sdk.test' })).rejects.toThrow('taken')
  await sendingDomains.delete(made.id)
  await expect(sendingDomains.get(made.id)).rejects.toThrow('Not Found')
})

test('refusals read as what they are', async () => {
  const unknown = await clientOf('pst_nobody')
  await expect(unknown.general.apiTokens.getList()).rejects.toThrow('Incorrect API token')
  const foreign = await clientOf(api.admin.token, 2)
  await expect(foreign.general.apiTokens.getList()).rejects.toThrow('Account access forbidden')
  const { apiTokens } = client.general
  await expect(apiTokens.create({ name: 'x', resources: [] })).rejects.toThrow(
    'No permissions selected. Please choose at least one.',
  )
  const resources = [{ resource_type: 'account', resource_id: 1, access_level: 100 }]
  await expect(apiTokens.create({ name: ' ', resources })).rejects.toThrow("can't be blank")
  // Two lasting tokens are needed to delete one of them.
  const { body } = await api.ask('GET', '/api/api_tokens?search=acme.example%20token')
  await expect(apiTokens.delete(body[0].id)).rejects.toThrow('last lasting token of acme.example')
})
