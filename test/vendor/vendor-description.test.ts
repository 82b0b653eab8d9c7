import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { SeenAnswer } from '../helpers/answer-log.ts'
import { divergences } from './divergences.ts'
import { readVendorDescription } from './vendor-description.ts'

/** How answers are held against a description that is not ours: this one is, and small. */

const things = {
  paths: {
    '/api/domains/{domain_id}': {
      parameters: [],
      get: {
        responses: {
          200: {
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } },
          },
          204: { description: 'Gone' },
          404: { $ref: '#/components/responses/Missing' },
        },
      },
    },
    '/api/domains/main': { get: { responses: {} } },
  },
  components: {
    responses: {
      Missing: {
        content: {
          'application/json': { schema: { properties: { error: { type: 'string' } } } },
        },
      },
    },
    schemas: {
      Thing: {
        type: 'object',
        properties: {
          type: { type: 'string', enum: ['domain'] },
          ends_at: { type: 'string', format: 'date-time', nullable: true },
          owner: {
            anyOf: [
              { properties: { email: { type: 'string' }, name: { type: 'string' } } },
              { properties: { token: { type: 'string' } } },
            ],
          },
          parts: { type: 'array', items: { properties: { id: { type: 'integer' } } } },
        },
      },
    },
  },
}
const description = readVendorDescription([things])
const answered = (
  body: unknown,
  { status = 200, path = '/api/domains/7', ...more }: Partial<SeenAnswer> = {},
) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return {
    plane: 'management' as const,
    method: 'get',
    path,
    status,
    contentType: 'application/json',
    text,
    ...more,
  }
}
const good = { type: 'domain', owner: { token: 'x' }, ends_at: null, parts: [{ id: 1 }, { id: 2 }] }

test.each<[string, SeenAnswer]>([
  ['a body as it is described, with null where that is allowed', answered(good)],
  ['an instant', answered({ ...good, ends_at: '2026-11-25T18:00:00.000Z' })],
  ['nothing where nothing is described', answered('', { status: 204, contentType: null })],
  ['a response that is described elsewhere', answered({ error: 'x' }, { status: 404 })],
  [
    'the older words on the older paths',
    answered(
      { ...good, type: 'sending_domain' },
      { path: '/api/accounts/1/sending_domains/7?x=1' },
    ),
  ],
  ['the same path on the other plane', answered('x', { plane: 'sending' })],
  ['anything to a call that the vendor does not have', answered('x', { path: '/api/explain' })],
])('%s is no difference', (_what, answer) => {
  expect(description.differences(answer)).toEqual([])
})

test.each<[string, SeenAnswer, string]>([
  ['a key too many', answered({ ...good, more: 1 }), 'the body: more is not described'],
  [
    'a key too few',
    answered({ type: 'domain', owner: { token: 'x' }, parts: [] }),
    "the body: must have required property 'ends_at'",
  ],
  [
    'a key too many in a list',
    answered({ ...good, parts: [{ id: 1 }, { id: 2, name: 'x' }] }),
    '/parts/*: name is not described',
  ],
  [
    'the nearest of two',
    answered({ ...good, owner: { token: null } }),
    '/owner/token: must be string',
  ],
  ['no instant', answered({ ...good, ends_at: 'soon' }), '/ends_at: must match format "date-time"'],
  ['a status', answered(good, { status: 422 }), 'the status is not described'],
  ['a body where there is none', answered('x', { status: 204 }), 'a body is not described'],
  ['text', answered('x', { contentType: 'text/plain' }), 'the body is not JSON'],
])('%s is one', (_what, answer, says) => {
  const name = `GET /api/domains/{domain_id} ${answer.status}`
  expect(description.differences(answer)).toEqual([{ answer: name, says }])
})

test('an answer is of the nearest path that is described', () => {
  expect(description.operationOf(answered(good))).toBe('GET /api/domains/{domain_id} 200')
  expect(description.operationOf(answered(good, { path: '/api/domains/main' }))).toBe(
    'GET /api/domains/main 200',
  )
  expect(description.operationOf(answered(good, { method: 'PUT' }))).toBeUndefined()
})

test('whatever differs on purpose stands in docs/divergences.md, with its reason', () => {
  const rows = readFileSync('docs/divergences.md', 'utf8').split('\n')
  for (const { row } of divergences) {
    expect(rows.filter((line) => line.startsWith(`| ${row} | `))).toHaveLength(1)
  }
})
