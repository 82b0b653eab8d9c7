import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../helpers/api-client.ts'
import {
  type ApiGate,
  idsOf,
  onAccount,
  onDomain,
  onOtherDomain,
  startApiGate,
} from '../helpers/api-gate.ts'

/** Who may do what over the API. */

let api: ApiGate

beforeAll(async () => {
  api = await startApiGate()
}, 60_000)
afterAll(() => api.place.remove())

const forbidden = { status: 403, body: { errors: 'Access forbidden' } }
const notFound = { status: 404, body: { error: 'Not Found' } }
const path = (id: number) => `/api/api_tokens/${id}`
const viewer = (resource: object) => ({ ...resource, access_level: 'viewer' })

describe('permissions by token id', () => {
  test('are replaced as a whole, on every gate when it is answered', async () => {
    const { id, token } = await api.make('app', [onDomain])
    expect(await api.send(token)).toBe(200)
    const edited = await api.ask('PATCH', path(id), json({ resources: [onOtherDomain] }))
    expect(edited).toMatchObject({ status: 200, body: { id, resources: [onOtherDomain] } })
    expect(edited.headers.get('postern-revocation')).toMatch(/^epoch=\d+, confirmed=1, fenced=0/)
    expect(await api.send(token)).toBe(403)
    expect(await api.send(token, 'acme.example')).toBe(200)
  })

  test('are given and taken singly, and what nothing is said of stays', async () => {
    const { id, token } = await api.make('app', [onDomain])
    const bulk = (...permissions: object[]) =>
      api.ask('PUT', `/api/account_accesses/${id}/permissions/bulk`, json({ permissions }))
    const message = { message: 'Permissions have been updated!' }
    const given = { resource_type: 'mailsend_domain', resource_id: '2', access_level: 'viewer' }
    expect(await bulk(given)).toMatchObject({ status: 200, body: message })
    const { body } = await api.ask('GET', path(id))
    expect(body.resources).toEqual([onDomain, { ...onOtherDomain, access_level: 10 }])
    const taken = { resource_type: 'domain', resource_id: '1', _destroy: true }
    expect(await bulk({ ...given, access_level: '100' }, taken)).toMatchObject({ status: 200 })
    expect(await api.send(token)).toBe(403)
    expect(await api.send(token, 'acme.example')).toBe(200)
  })

  test('and the name are changed together or not at all', async () => {
    const { id } = await api.make('before', [onDomain])
    const beyond = { resource_type: 'domain', resource_id: 3, access_level: 100 }
    expect(await api.ask('PATCH', path(id), json({ name: 'after', resources: [beyond] }))).toEqual(
      expect.objectContaining(forbidden),
    )
    expect((await api.ask('GET', path(id))).body.name).toBe('before')
    const renamed = await api.ask('PATCH', path(id), json({ name: 'after' }))
    expect(renamed).toMatchObject({ status: 200, body: { name: 'after', resources: [onDomain] } })
    expect(renamed.headers.get('postern-revocation')).toBeNull()
  })

  test.each<[string, object]>([
    ['nothing', {}],
    ['no permissions at all', { resources: [] }],
    ['a blank name', { name: '  ' }],
    ['a name that is none', { name: 7 }],
  ])('are not edited to %s', async (_what, body) => {
    const edited = await api.ask('PATCH', path(api.admin.id), json(body))
    expect(edited.status).toBe(422)
  })
})

describe('a token', () => {
  test('never changes its own permissions, by either way', async () => {
    const { id, token } = await api.make('self', [onAccount])
    const own = { errors: 'A token cannot change its own permissions' }
    const edited = await api.ask('PATCH', path(id), {
      token,
      ...json({ name: 'x', resources: [onDomain] }),
    })
    expect(edited).toMatchObject({ status: 403, body: own })
    const bulk = { permissions: [{ ...onDomain, _destroy: true }] }
    const changed = await api.ask('PUT', `/api/account_accesses/${id}/permissions/bulk`, {
      token,
      ...json(bulk),
    })
    expect(changed).toMatchObject({ status: 403, body: own })
    const renamed = await api.ask('PATCH', path(id), { token, ...json({ name: 'itself' }) })
    expect(renamed.status).toBe(200)
  })

  test('never makes its own life longer', async () => {
    const { id, token } = await api.make('self', [onAccount])
    const reset = await api.ask('POST', `${path(id)}/reset`, json({ window: '1h' }))
    expect(reset.status).toBe(200)
    const own = { status: 403, body: { errors: 'A token cannot make its own life longer' } }
    expect(await api.ask('DELETE', `${path(id)}/reset`, { token })).toMatchObject(own)
    const extend = { token, ...json({ window: '2h' }) }
    expect(await api.ask('PATCH', `${path(id)}/reset`, extend)).toMatchObject(own)
    const end = { token, ...json({ window: 0 }) }
    expect((await api.ask('PATCH', `${path(id)}/reset`, end)).status).toBe(200)
    expect((await api.ask('GET', path(id), { token })).status).toBe(401)
  })

  test('sees and manages only what its own permissions cover', async () => {
    const { token } = await api.make('domain admin', [onDomain])
    const wide = await api.make('both', [onDomain, onOtherDomain])
    const same = await api.make('same', [onDomain])
    const list = await api.ask('GET', '/api/api_tokens', { token })
    expect(idsOf(list)).toContain(same.id)
    expect(idsOf(list)).not.toContain(wide.id)
    for (const [method, where, body] of [
      ['GET', path(wide.id), undefined],
      ['PATCH', path(wide.id), { name: 'x' }],
      ['POST', `${path(wide.id)}/reset`, {}],
      ['POST', `${path(wide.id)}/reveal`, undefined],
      ['DELETE', path(wide.id), undefined],
      ['DELETE', `/api/account_accesses/${wide.id}`, undefined],
      ['GET', '/api/domains/2', undefined],
      ['DELETE', '/api/domains/2', undefined],
    ] as const) {
      const more = body === undefined ? {} : json(body)
      expect(await api.ask(method, where, { token, ...more }), where).toMatchObject(notFound)
    }
    const widened = json({ resources: [onDomain, viewer(onOtherDomain)] })
    expect(await api.ask('PATCH', path(same.id), { token, ...widened })).toMatchObject(forbidden)
    const narrowed = json({ resources: [viewer(onDomain)] })
    expect((await api.ask('PATCH', path(same.id), { token, ...narrowed })).status).toBe(200)
  })

  test('that may only look changes nothing', async () => {
    const { token } = await api.make('viewer', [viewer(onAccount)])
    const target = await api.make('target', [viewer(onDomain)])
    expect((await api.ask('GET', path(target.id), { token })).status).toBe(200)
    for (const [method, where, body] of [
      ['POST', '/api/api_tokens', { name: 'x', resources: [viewer(onDomain)] }],
      ['PATCH', path(target.id), { name: 'x' }],
      ['POST', `${path(target.id)}/reset`, {}],
      ['PATCH', `${path(target.id)}/reset`, { window: '1h' }],
      ['DELETE', `${path(target.id)}/reset`, undefined],
      ['POST', `${path(target.id)}/reveal`, undefined],
      ['DELETE', path(target.id), undefined],
      ['DELETE', `/api/account_accesses/${target.id}`, undefined],
      ['GET', '/api/account_accesses', undefined],
      ['GET', '/api/audit_events', undefined],
      ['POST', '/api/domains', { domain: { domain_name: 'new.test' } }],
      ['DELETE', '/api/domains/1', undefined],
    ] as const) {
      const more = body === undefined ? {} : json(body)
      const what = `${method} ${where}`
      expect(await api.ask(method, where, { token, ...more }), what).toMatchObject(forbidden)
    }
  })

  test('of one account finds nothing of another', async () => {
    for (const where of ['/api/api_tokens/3', '/api/domains/3', '/api/account_accesses/3']) {
      const method = where.includes('accesses') ? 'DELETE' : 'GET'
      expect(await api.ask(method, where), where).toMatchObject(notFound)
    }
    expect(await api.send((await api.place.json('token', 'reveal', '3')).token, 'other.test')).toBe(
      200,
    )
    for (const where of ['api_tokens', 'sending_domains', 'permissions/resources', 'explain']) {
      const answer = await api.ask('GET', `/api/accounts/2/${where}`)
      expect(answer).toMatchObject({ status: 403, body: { errors: 'Account access forbidden' } })
    }
  })
})

test('a domain keeps its last lasting token, however many calls take tokens away at once', async () => {
  const made = await api.ask('POST', '/api/domains', json({ domain: { domain_name: 'last.test' } }))
  const domain = { resource_type: 'domain', resource_id: made.body.id, access_level: 100 }
  const others = await Promise.all([1, 2, 3, 4, 5].map((i) => api.make(`t${i}`, [domain])))
  const found = await api.ask('GET', '/api/api_tokens?search=last.test%20token')
  const ids = [...idsOf(found), ...others.map(({ id }) => id)]
  expect(ids).toHaveLength(6)
  const bulk = json({ permissions: [{ ...domain, _destroy: true }, viewer(onDomain)] })
  const answers = await Promise.all(
    ids.map((id, i) =>
      i % 3 === 0
        ? api.ask('DELETE', path(id))
        : i % 3 === 1
          ? api.ask('DELETE', `/api/account_accesses/${id}`)
          : api.ask('PUT', `/api/account_accesses/${id}/permissions/bulk`, bulk),
    ),
  )
  const refused = answers.filter(({ status }) => status === 403)
  expect(refused).toHaveLength(1)
  expect(refused[0]?.body.errors).toContain('last.test')
})
