import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createApiClient } from '../../src/cli/api-client.ts'
import { createCertificate } from '../helpers/certificate.ts'
import { createCommandLine } from '../helpers/command-line.ts'
import { createWorkplace, runProgram } from '../helpers/program.ts'

/** What a person reads when the gate at the other end does not answer as wished. */

const program = resolve('src/postern.js')

type Answer = (request: IncomingMessage, response: ServerResponse) => void

async function listen(server: Server, scheme: 'http' | 'https' = 'http'): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A command line whose gate answers everything as it is told to. */
async function commandLineTo(answer: Answer, settings: Record<string, string> = {}) {
  const url = await listen(createServer(answer))
  const postern = createCommandLine({ POSTERN_URL: url, POSTERN_TOKEN: 'secret', ...settings })
  return { url, postern }
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return (request, response) => {
    request.resume()
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
}

test.each<[string, Answer, string]>([
  ['401', json(401, { error: 'Incorrect API token' }), 'refused (401): Incorrect API token'],
  ['403', json(403, { errors: 'Access forbidden' }), 'refused (403): Access forbidden'],
  [
    '422 by field',
    json(422, { errors: { name: ["can't be blank"], base: ['No such thing'] } }),
    "refused (422): name can't be blank; No such thing",
  ],
  [
    '503',
    json(503, { error: 'Service temporarily unavailable: try again' }),
    'URL cannot answer now (503): Service temporarily unavailable: try again',
  ],
  [
    'a page of a proxy',
    (_, response) => response.writeHead(502).end('<h1>Bad Gateway</h1>'),
    'URL does not answer as the management API of a gate (502)',
  ],
  [
    'JSON of something else',
    json(200, { hello: 'world' }),
    'URL does not answer as the management API of a gate (200)',
  ],
  [
    'a sentence that would move the cursor',
    json(403, { errors: 'no\u001b[2J\u202eway' }),
    'refused (403): no\ufffd[2J\ufffdway',
  ],
])('%s is exit status 1, with its sentence', async (_, answer, sentence) => {
  const { url, postern } = await commandLineTo(answer)
  expect(await postern('token', 'list')).toEqual({
    status: 1,
    stdout: '',
    stderr: `postern: ${sentence.replace('URL', url)}\n`,
  })
})

test('a gate that is not there could not be reached, which is not the same as a refusal', async () => {
  const { url } = await commandLineTo(json(200, []))
  const closed = new URL(url)
  closed.port = '1'
  const postern = createCommandLine({ POSTERN_URL: closed.href, POSTERN_TOKEN: 'secret' })
  const { status, stderr } = await postern('token', 'list')
  expect(status).toBe(1)
  expect(stderr).toMatch(/^postern: could not reach http:\/\/127.0.0.1:1: .*ECONNREFUSED/)
})

test('of a change whose answer was lost nobody claims that it was not made', async () => {
  const { url, postern } = await commandLineTo((request) => request.socket.destroy())
  const lost = `the connection to ${url} broke before its answer`
  expect((await postern('token', 'delete', '1')).stderr).toBe(
    `postern: ${lost}: whether anything was done is not known\n`,
  )
  expect((await postern('token', 'show', '1')).stderr).toBe(`postern: ${lost}\n`)
})

test('a gate that stays silent is given up after the time of --timeout', async () => {
  const { url, postern } = await commandLineTo(() => {})
  const { status, stderr } = await postern('token', 'delete', '1', '--timeout', '50ms')
  expect(status).toBe(1)
  expect(stderr).toBe(
    `postern: no answer from ${url} in 0.05 s: whether anything was done is not known\n`,
  )
})

test('a redirect is not followed: the token goes to nobody else', async () => {
  let visits = 0
  const elsewhere = await listen(createServer(() => (visits += 1)))
  const { url, postern } = await commandLineTo(
    json(307, {}, { location: `${elsewhere}/api/accounts` }),
  )
  const { status, stderr } = await postern('account', 'list')
  expect(status).toBe(1)
  expect(stderr).toContain(`${url} redirects to ${elsewhere}/api/accounts, which is not followed`)
  expect(visits).toBe(0)
})

test('a call that comes too often waits as long as it is told to, and is made once more', async () => {
  const waits: number[] = []
  const told: string[] = []
  let calls = 0
  const url = await listen(
    createServer((request, response) => {
      calls += 1
      const answer =
        calls < 3
          ? json(429, { errors: 'Rate limit exceeded' }, { 'retry-after': '3' })
          : json(200, [])
      answer(request, response)
    }),
  )
  const api = createApiClient(
    { url, token: 'secret', timeoutMs: 10_000 },
    { tell: (sentence) => told.push(sentence), wait: async (ms) => waits.push(ms) },
  )
  onTestFinished(() => api.close())
  expect((await api.call('POST', '/api/api_tokens', { body: {} })).body).toEqual([])
  expect({ waits, told }).toEqual({
    waits: [3_000, 3_000],
    told: Array(2).fill('this token calls too often: waiting 3 s'),
  })
})

test('and does not wait for ever', async () => {
  const waits: number[] = []
  const url = await listen(
    createServer(json(429, { errors: 'Rate limit exceeded' }, { 'retry-after': '9' })),
  )
  const api = createApiClient(
    { url, token: 'secret', timeoutMs: 10_000 },
    { tell() {}, wait: async (ms) => waits.push(ms) },
  )
  onTestFinished(() => api.close())
  await expect(api.call('GET', '/api/accounts')).rejects.toThrow(
    'refused (429): Rate limit exceeded',
  )
  expect(waits).toEqual([9_000, 9_000, 9_000])
})

test('a certificate that nobody vouches for is no gate that was reached, unless --ca names who does', async () => {
  const { cert, key } = createCertificate()
  const url = await listen(createTlsServer({ cert, key }, json(200, [])), 'https')
  const settings = { POSTERN_URL: url.replace('127.0.0.1', 'localhost'), POSTERN_TOKEN: 'secret' }
  const stranger = await createCommandLine(settings)('account', 'list')
  expect(stranger.status).toBe(1)
  expect(stranger.stderr).toMatch(/^postern: could not reach https:.*certificate/)
  const { folder, remove } = createWorkplace()
  onTestFinished(remove)
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, cert)
  const known = await createCommandLine(settings)('account', 'list', '--ca', caFile)
  expect(known).toMatchObject({ status: 0, stderr: '' })
  const asNodeDoes = await runProgram(process.execPath, [program, 'account', 'list'], {
    env: { ...settings, NODE_EXTRA_CA_CERTS: caFile },
  })
  expect(asNodeDoes).toEqual(known)
})

test('a change that is not confirmed yet is exit status 3, with the receipt so far', async () => {
  const pending = { propagation: 'pending', epoch: 12, waiting_for: ['n3'], confirmed_by: null }
  const headers = { 'postern-revocation': 'epoch=12, confirmed=2, fenced=0, ms=12000.5' }
  const { postern } = await commandLineTo(json(202, pending, headers))
  const { status, stdout } = await postern('token', 'delete', '1', '--json')
  expect(status).toBe(3)
  expect(JSON.parse(stdout)).toEqual({
    id: 1,
    deleted: true,
    receipt: {
      epoch: 12,
      propagation: 'pending',
      confirmed: 2,
      fenced: 0,
      ms: 12_000.5,
      waiting_for: ['n3'],
    },
  })
  const { stdout: text } = await postern('token', 'delete', '1')
  expect(text).toBe(
    'Deleted token 1\nDone, but not confirmed by 1 node yet: repeat the command to wait again\n',
  )
})

test('a reset that is not confirmed yet keeps the new token back from nobody', async () => {
  const at = '2026-11-24T12:00:00.000Z'
  const [expires_at, window_ends_at] = [null, null]
  const lifetime = {
    created_at: at,
    expires_at,
    reset_at: null,
    window_ends_at,
    successor_id: null,
  }
  const old = {
    ...{ resources: [], id: 1, name: 'x 1', last_4_digits: 'abcd', created_by: 'Boss' },
    ...{ expires_at: null, account_id: 1, rate: null, lifetime },
  }
  const pending = { propagation: 'pending', epoch: 12, waiting_for: [], confirmed_by: null }
  const body = { ...old, id: 2, name: 'x 2', token: 'pst_new', replaces: old, ...pending }
  const { postern } = await commandLineTo(json(202, body, { 'postern-revocation': 'epoch=12' }))
  const { status, stdout } = await postern('token', 'reset', '1', '--json')
  expect(status).toBe(3)
  expect(JSON.parse(stdout)).toMatchObject({
    id: 2,
    token: 'pst_new',
    replaces: { id: 1 },
    receipt: { propagation: 'pending', waiting_for: [] },
  })
})

test.each([
  ['token', 'delete', '1'],
  ['token', 'show', '1'],
  ['token', 'reset', '1'],
  ['token', 'reveal', '1'],
])(
  'a service that knows nothing is not taken for a gate without the token: %s %s',
  async (...args) => {
    const { url, postern } = await commandLineTo(json(404, { error: 'Not Found' }))
    expect(await postern(...args)).toEqual({
      status: 1,
      stdout: '',
      stderr: `postern: ${url} does not answer as the management API of a gate (404)\n`,
    })
  },
)

test('nothing is said to be deleted without a receipt', async () => {
  const { url, postern } = await commandLineTo((_, response) => response.writeHead(204).end())
  expect(await postern('token', 'delete', '1')).toEqual({
    status: 1,
    stdout: '',
    stderr: `postern: ${url} does not answer as the management API of a gate (204)\n`,
  })
})

test('a gate behind a prefix is asked below it', async () => {
  const paths: unknown[] = []
  const { url } = await commandLineTo((request, response) => {
    paths.push(request.url)
    json(200, [])(request, response)
  })
  await createCommandLine({ POSTERN_URL: `${url}/gate/`, POSTERN_TOKEN: 's' })('account', 'list')
  expect(paths).toEqual(['/gate/api/accounts'])
})

test('a removal that is repeated waits on every node, although the domain is not listed any more', async () => {
  const asked: string[] = []
  const { postern } = await commandLineTo((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (request.method === 'DELETE') return json(404, { error: 'Not Found' })(request, response)
    json(200, request.url === '/api/accounts' ? [{ id: 1, name: 'A' }] : { data: [] })(
      request,
      response,
    )
  })
  expect(await postern('domain', 'remove', 'acme.test')).toMatchObject({ status: 1, stdout: '' })
  expect(asked.at(-1)).toBe('DELETE /api/domains/0')
})
