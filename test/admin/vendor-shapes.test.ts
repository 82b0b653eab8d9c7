import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import { type ApiGate, onDomain, startApiGate } from '../helpers/api-gate.ts'

/** What the vendor's API was seen to answer, request by request: statuses, keys in full, and errors in their own shapes. */

let api: ApiGate

beforeAll(async () => {
  api = await startApiGate()
}, 60_000)
afterAll(() => api.place.remove())

const account = '/api/accounts/1'

describe('tokens', () => {
  test('made with permissions on the account: 200, every key, and the secret', async () => {
    const resources = [{ resource_type: 'account', resource_id: 1, access_level: 100 }]
    const request = json({ name: 'Ruby SDK Test Token', resources })
    const made = await api.ask('POST', `${account}/api_tokens`, request)
    expect(made.headers.get('content-type')).toMatch(/^application\/json/)
    expect(made).toMatchObject({
      status: 200,
      body: {
        resources,
        id: expect.any(Number),
        name: 'Ruby SDK Test Token',
        last_4_digits: expect.stringMatching(/^.{4}$/),
        created_by: 'Boss',
        expires_at: null,
        token: expect.stringMatching(/^pst_[0-9A-Za-z]{36}$/),
      },
    })
    expect(Object.keys(made.body)).toHaveLength(7)
    // JSON with an empty body.
    const empty = { headers: { 'content-type': 'application/json' }, body: '' }
    const reset = await api.ask('POST', `${account}/api_tokens/${made.body.id}/reset`, empty)
    expect(reset.body.name).toBe(`Ruby SDK Test Token ${reset.body.id}`)
    const removed = await api.ask('DELETE', `${account}/api_tokens/${made.body.id}`)
    expect(removed).toMatchObject({ status: 204, body: null })
    const missing = await api.ask('GET', `${account}/api_tokens/${made.body.id}`)
    expect(missing).toMatchObject({ status: 404, body: { error: 'Not Found' } })
  })

  test('made without permissions, and without a name', async () => {
    const made = await api.ask('POST', `${account}/api_tokens`, json({ resources: [] }))
    const errors = { base: ['No permissions selected. Please choose at least one.'] }
    expect(made).toMatchObject({ status: 422, body: { errors } })
  })

  test('made with levels as words, as one client sends them, and answered with numbers', async () => {
    const resources = [
      { resource_type: 'sending_domain', resource_id: '1', access_level: 'viewer' },
    ]
    const request = json(
      { name: 'x', resources },
      { 'content-type': 'application/json; charset=UTF-8' },
    )
    const made = await api.ask('POST', `${account}/api_tokens`, request)
    expect(made.body.resources).toEqual([
      { resource_type: 'sending_domain', resource_id: 1, access_level: 10 },
    ])
  })

  test('with an end: an instant, null, or nothing said', async () => {
    const make = (more: object) =>
      api.ask('POST', '/api/api_tokens', json({ name: 'x', resources: [onDomain], ...more }))
    const at = new Date(Date.now() + 86_400_000).toISOString()
    expect((await make({ expires_at: at })).body.expires_at).toBe(at)
    expect((await make({ expires_at: null })).body.expires_at).toBeNull()
    expect((await make({})).body.expires_at).toBeNull()
    const far = new Date(Date.now() + 6 * 366 * 86_400_000).toISOString()
    for (const wrong of [far, '2001-01-01T00:00:00Z', 'tomorrow', 7]) {
      expect((await make({ expires_at: wrong })).status, String(wrong)).toBe(422)
    }
  })
})

test('accesses of tokens are listed when they are asked for, and never with the secret', async () => {
  const made = await api.make('listed', [onDomain])
  const { body } = await api.ask('GET', '/api/account_accesses?specifier_type=ApiToken')
  expect(body.find(({ id }: any) => id === made.id)).toEqual({
    id: made.id,
    specifier_type: 'ApiToken',
    resources: [onDomain],
    specifier: {
      id: made.id,
      name: 'listed',
      author_name: 'Boss',
      token: `****${made.token.slice(-4)}`,
      expires_at: null,
    },
    permissions: { can_read: true, can_update: true, can_destroy: true, can_leave: false },
  })
  expect(body.find(({ id }: any) => id === 1).specifier.author_name).toBe('System')
  const query = 'specifier_type=ApiToken&domain_ids[]=2&limit=5'
  const onTwo = await api.ask('GET', `/api/account_accesses?${query}`)
  expect(onTwo.body.map(({ id }: any) => id)).toEqual([2])
  const boxes = await api.ask(
    'GET',
    `${account}/account_accesses?specifier_type=ApiToken&inbox_ids[]=2`,
  )
  expect(boxes.body).toEqual([])
})

test('an access that is not there cannot be removed; one that was removed is removed still', async () => {
  const missing = await api.ask('DELETE', `${account}/account_accesses/99999`)
  expect(missing).toMatchObject({ status: 404, body: { error: 'Not Found' } })
  const { id } = await api.make('x', [onDomain])
  for (let call = 0; call < 2; call++) {
    const removed = await api.ask('DELETE', `${account}/account_accesses/${id}`)
    expect(removed).toMatchObject({ status: 200, body: { id } })
  }
})

test('resources are nested, in the words of their paths, as far as the caller administers them', async () => {
  const domain = (id: number, name: string, type: string) => ({
    id,
    name,
    type,
    access_level: 100,
    resources: [],
  })
  const tree = (type: string) => [
    {
      id: 1,
      name: 'Acme',
      type: 'account',
      access_level: 100,
      resources: [domain(2, 'acme.example', type), domain(1, 'acme.test', type)],
    },
  ]
  expect((await api.ask('GET', '/api/permissions/resources')).body).toEqual(tree('domain'))
  const older = await api.ask('GET', `${account}/permissions/resources`)
  expect(older.body).toEqual(tree('sending_domain'))
  const viewer = { resource_type: 'domain', resource_id: 2, access_level: 10 }
  const { token } = await api.make('small', [onDomain, viewer])
  const own = await api.ask('GET', '/api/permissions/resources', { token })
  expect(own.body).toEqual([domain(1, 'acme.test', 'domain')])
  const accounts = await api.ask('GET', '/api/accounts', { token })
  expect(accounts.body).toEqual([{ id: 1, name: 'Acme', access_levels: [1] }])
})

describe('domains', () => {
  test('a new one: 200, every key that the vendor has, and its token beside it', async () => {
    const body = { sending_domain: { domain_name: 'New.Test' } }
    const made = await api.ask('POST', `${account}/sending_domains`, json(body))
    expect(made).toMatchObject({
      status: 200,
      body: {
        domain_name: 'new.test',
        open_tracking_enabled: false,
        click_tracking_enabled: false,
        auto_unsubscribe_link_enabled: false,
        custom_domain_tracking_enabled: false,
        health_alerts_enabled: false,
        critical_alerts_enabled: false,
        alert_recipient_email: null,
        inbound_enabled: false,
        inbound_verified: false,
        demo: false,
        id: expect.any(Number),
        dns_records: [],
        dns_verified: true,
        dns_verified_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        permissions: { can_read: true, can_update: true, can_destroy: true },
        compliance_status: 'compliant',
      },
    })
    const { body: tokens } = await api.ask('GET', '/api/api_tokens?search=new.test')
    expect(tokens).toMatchObject([{ name: `new.test token ${tokens[0].id}`, created_by: 'System' }])
    const removed = await api.ask('DELETE', `${account}/sending_domains/${made.body.id}`)
    expect(removed).toMatchObject({ status: 204, body: null })
    const again = await api.ask('DELETE', `${account}/sending_domains/${made.body.id}`)
    expect(again).toMatchObject({ status: 404, body: { error: 'Not Found' } })
    expect(again.headers.get('postern-revocation')).toMatch(/^epoch=/)
  })

  test('one without a name', async () => {
    const errors = { base: ["Validation failed: Domain name can't be blank"] }
    for (const body of [{ domain: { domain_name: '' } }, { domain: {} }, {}]) {
      const made = await api.ask('POST', '/api/domains', json(body))
      expect(made).toMatchObject({ status: 422, body: { errors } })
    }
  })

  test.each([
    'a b.test',
    'localhost',
    '1.2.3.4',
    'x..test',
    'ｅxample.com',
    `${'a'.repeat(64)}.test`,
  ])('none is called %s', async (domain_name) => {
    const made = await api.ask('POST', '/api/domains', json({ domain: { domain_name } }))
    expect(made.status).toBe(422)
  })

  test('one that another account has is taken, and whose it is is not said', async () => {
    const body = { domain: { domain_name: 'other.test' } }
    const made = await api.ask('POST', '/api/domains', json(body))
    const errors = { base: ['Domain name has already been taken'] }
    expect(made).toMatchObject({ status: 422, body: { errors } })
  })
})

test('every answer to a live token says how often it may call, whatever its status', async () => {
  const { token } = await api.make('counted', [onDomain])
  const left = async (path: string) => {
    const { headers } = await api.ask('GET', path, { token })
    expect(headers.get('x-ratelimit-limit')).toBe('150')
    return Number(headers.get('x-ratelimit-remaining'))
  }
  for (const path of [
    '/api/api_tokens',
    '/api/api_tokens/99999',
    '/api/nothing',
    '/api/audit_events',
  ]) {
    expect(await left(path), path).toBeLessThan(150)
  }
})

test('nothing that the vendor has besides is there, and it says so in JSON', async () => {
  for (const path of ['billing/usage', 'projects', 'sending_domains/1/company_info', 'templates']) {
    const missing = await api.ask('GET', `${account}/${path}`)
    expect(missing).toMatchObject({ status: 404, body: { error: 'Not Found' } })
  }
})
