import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { parseConfig } from '../src/config.ts'
import { createTxtLookup } from '../src/txt-lookup.ts'
import { createWorkplace, runProgram } from './helpers/program.ts'
import { startResolver, type TestResolver } from './helpers/resolver.ts'
import {
  answerCode,
  answerText,
  responseCode,
  type Script,
  silence,
  startScriptedResolver,
} from './helpers/scripted-resolver.ts'

/** The DNS as it is, and as it should not be. */

const name = '_postern-challenge.acme.test'

describe('a resolver', () => {
  let resolver: TestResolver
  const ask = (asked: string) => createTxtLookup([resolver.address])(asked)

  beforeAll(async () => {
    resolver = await startResolver({
      txt: [
        [name, 'one'],
        [name, 'of ', 'several', ' strings'],
        ['elsewhere.example', 'delegated'],
        ...Array.from({ length: 60 }, (_, i) => ['long.test', `${i} `.padEnd(200, 'x')] as const),
      ],
      cname: [
        ['_postern-challenge.alias.test', 'hop.alias.test'],
        ['hop.alias.test', 'elsewhere.example'],
      ],
      hosts: ['_postern-challenge.address.test'],
    })
  })
  afterAll(() => resolver.stop())

  test('gives every record, the strings of each as one text, and is named', async () => {
    const answer = await ask(name)
    expect(answer).toEqual({
      known: true,
      records: expect.any(Array),
      resolver: resolver.address,
    })
    expect(answer.known && [...answer.records].sort()).toEqual(['of several strings', 'one'])
  })

  test('knows names in any case, and follows aliases', async () => {
    expect(await ask('_Postern-Challenge.ACME.test')).toMatchObject({ records: { length: 2 } })
    expect(await ask('_postern-challenge.alias.test')).toMatchObject({ records: ['delegated'] })
  })

  test('is asked once more over TCP for what is too long for UDP', async () => {
    expect(await ask('long.test')).toMatchObject({ known: true, records: { length: 60 } })
  })

  test.each([
    ['no such name', '_postern-challenge.none.test'],
    ['no such records', '_postern-challenge.address.test'],
    ['a name that is too long for the DNS', `_postern-challenge.${'a123456.'.repeat(30)}test`],
  ])('that knows of %s has none', async (_what, asked) => {
    expect(await ask(asked)).toMatchObject({ known: true, records: [] })
  })

  test('is asked anew each time', async () => {
    const fresh = await startResolver()
    onTestFinished(() => fresh.stop())
    const lookUp = createTxtLookup([fresh.address])
    expect(await lookUp(name)).toMatchObject({ records: [] })
    await fresh.publish({ txt: [[name, 'now']] })
    expect(await lookUp(name)).toMatchObject({ records: ['now'] })
    await fresh.publish({})
    expect(await lookUp(name)).toMatchObject({ records: [] })
  })
})

async function scripted(script: Script) {
  const server = await startScriptedResolver(script)
  onTestFinished(() => server.stop())
  return server
}

describe('that there is no record is never taken from', () => {
  test.each<[string, Script]>([
    ['a server that fails', answerCode(responseCode.serverFailure)],
    ['a server that refuses', answerCode(responseCode.refused)],
    ['a server that does not understand', answerCode(responseCode.formatError)],
    ['a server that can do nothing', answerCode(responseCode.notImplemented)],
    ['a silent server', silence],
    ['noise', () => Buffer.from('not a DNS message at all')],
    ['a message that ends too soon', (query) => answerText('x')(query)?.subarray(0, -3)],
    [
      'an answer to another question',
      (query) => {
        const answer = answerCode(responseCode.nameError)(query)
        answer?.writeUInt16BE(query.readUInt16BE(0) ^ 1, 0)
        return answer
      },
    ],
  ])('%s', async (_what, script) => {
    const { address } = await scripted(script)
    const answer = await createTxtLookup([address])(name)
    expect(answer).toEqual({
      known: false,
      reason: expect.stringMatching(`^E[A-Z]+ from ${address}$`),
    })
  })

  test('a port where nobody listens', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    socket.close()
    const answer = await createTxtLookup([`127.0.0.1:${port}`])(name)
    expect(answer).toMatchObject({ known: false })
  })
})

test('where one server cannot answer the next one is asked', async () => {
  const [silent, failing, good] = [
    await scripted(silence),
    await scripted(answerCode(responseCode.serverFailure)),
    await scripted(answerText('here')),
  ]
  for (const bad of [silent, failing]) {
    const answer = await createTxtLookup([bad.address, good.address])(name)
    expect(answer).toMatchObject({ known: true, records: ['here'] })
    expect(bad.asked.length).toBeGreaterThan(0)
  }
})

test('a name is absolute: no domain that the machine searches is tried after it', async () => {
  const server = await scripted(answerCode(responseCode.nameError))
  const program = `
    import { createTxtLookup } from ${JSON.stringify(resolve('src/txt-lookup.ts'))}
    console.log(JSON.stringify(await createTxtLookup([${JSON.stringify(server.address)}])('${name}')))`
  const { stdout, stderr } = await runProgram(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { env: { PATH: process.env.PATH ?? '', LOCALDOMAIN: 'searched.test', RES_OPTIONS: 'ndots:9' } },
  )
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toMatchObject({ known: true, records: [] })
  expect(server.asked).toEqual([name])
})

describe('POSTERN_DNS_RESOLVERS', () => {
  const read = (value: string) => parseConfig('dev', [{ POSTERN_DNS_RESOLVERS: value }])

  test('takes addresses of both kinds, with a port or without, as the resolver takes them', () => {
    const result = read('192.0.2.1, 192.0.2.2:5353,[2001:db8::1]:5353, [2001:db8::2],2001:db8::3')
    const servers = result.ok ? (result.config.dnsResolvers ?? []) : []
    expect(servers).toEqual([
      '192.0.2.1:53',
      '192.0.2.2:5353',
      '[2001:db8::1]:5353',
      '[2001:db8::2]:53',
      '[2001:db8::3]:53',
    ])
    const resolver = new Resolver()
    resolver.setServers(servers)
    expect(resolver.getServers()).toHaveLength(5)
  })

  test.each([
    'dns.example',
    'localhost:53',
    '192.0.2.1:0',
    '192.0.2.1:70000',
    '192.0.2.1:',
    '192.0.2',
    '192.0.2.1.',
    '[192.0.2.1]:53',
    '[2001:db8::1]53',
    'fe80::1%eth0',
    '2001:db8::1:53:z',
    'https://192.0.2.1',
    ',',
  ])('refuses %j by its name', (value) => {
    const result = read(value)
    expect(result.ok ? [] : result.problems).toEqual([
      expect.stringMatching(/^POSTERN_DNS_RESOLVERS must /),
    ])
  })
})

test('doctor asks each resolver that is named, and says which does not answer', async () => {
  const [absent, failing] = [
    await scripted(answerCode(responseCode.nameError)),
    await scripted(answerCode(responseCode.serverFailure)),
  ]
  const place = createWorkplace()
  onTestFinished(() => place.remove())
  const resolvers = `${absent.address},${failing.address}`
  const { stdout } = await place.postern('doctor', '--json', '--dns-resolvers', resolvers)
  const { ok, checks } = JSON.parse(stdout)
  expect(ok).toBe(false)
  expect(checks.filter(({ name }: { name: string }) => name === 'DNS resolver')).toEqual([
    { name: 'DNS resolver', ok: true, detail: `${absent.address} answers` },
    {
      name: 'DNS resolver',
      ok: false,
      detail: `cannot be used: ESERVFAIL from ${failing.address}`,
    },
  ])
})
