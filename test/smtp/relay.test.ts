import type { Socket } from 'node:net'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Certificate, createCertificate } from '../helpers/certificate.ts'
import { createMemoryLookup, type MemoryLookup } from '../helpers/memory-lookup.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'
import { collectSockets, otherEnd } from '../helpers/sockets.ts'

/** What the relay behind the gate does, and what the client hears of it. */

const token = '4c2446b6e0f911ec94870a58a9feac02'
const trouble = '451 4.4.1 The relay behind the gate cannot take the message now: try again'
const message = 'From: a@ok.test\r\n\r\nHello.\r\n'

let lookup: MemoryLookup
let relay: ScriptedRelay
let gate: Awaited<ReturnType<typeof startSmtpGateway>>
let client: SmtpClient

async function start(
  upstream: Partial<Parameters<typeof startSmtpGateway>[2] & object> = {},
  tls?: Parameters<typeof startScriptedRelay>[0],
) {
  lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test'])
  relay = await startScriptedRelay(tls)
  onTestFinished(() => relay.close())
  gate = await startSmtpGateway(lookup, relay.port, { upstreamTimeoutMs: 500, ...upstream })
  client = await authenticated()
}

async function authenticated() {
  const connected = await connectSmtp(gate.address)
  await connected.say('EHLO client.test')
  await connected.say(plain(token))
  return connected
}

/** The replies to MAIL, RCPT, DATA and the message, as far as they come. */
async function send(from: SmtpClient = client): Promise<string[]> {
  const replies: string[] = []
  for (const line of ['MAIL FROM:<a@ok.test>', 'RCPT TO:<b@c.test>', 'DATA']) {
    const reply = await from.say(line)
    replies.push(reply)
    if (/^[45]/.test(reply)) return replies
  }
  from.write(`${message}.\r\n`)
  return [...replies, await from.reply()]
}

const last = async () => (await send()).at(-1)
const is = (line: string, verb: string) => line.startsWith(verb)

describe('250 comes only after the relay’s 250', () => {
  beforeEach(() => start())

  test('with the relay’s own words', async () => {
    expect(await send()).toEqual([
      '250 2.1.0 Accepted',
      '250 2.1.5 Accepted',
      '354 End data with <CR><LF>.<CR><LF>',
      '250 2.6.0 Taken as R1',
    ])
  })

  test.each([
    ['250', '250 2.0.0'],
    ['250 Queued', '250 2.0.0 Queued'],
    ['250 2.6.0', '250 2.6.0'],
    ['250 5.0.0 Of another class', '250 2.0.0 Of another class'],
    ['250-One\r\n250 two', '250 2.0.0 One two'],
  ])('%j comes with the enhanced code of its class (RFC 2034 §4)', async (said, heard) => {
    relay.answer = (line) => (line === '.' ? said : undefined)
    expect(await last()).toBe(heard)
  })

  test('and not before', async () => {
    let release = () => {}
    relay.answer = (line, socket) => {
      if (line !== '.') return undefined
      release = () => socket.write('250 2.0.0 At last\r\n')
      return null
    }
    let answered = false
    const answer = last().then((reply) => {
      answered = true
      return reply
    })
    while (relay.messages.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(answered).toBe(false)
    release()
    expect(await answer).toBe('250 2.0.0 At last')
  })

  test.each([
    ['552 5.3.4 Too big', '552 5.3.4 Too big'],
    ['554 5.7.1 Spam', '554 5.7.1 Spam'],
    ['452 4.3.1 Full', '452 4.3.1 Full'],
    ['550-5.7.1 One\r\n550 5.7.1 two', '550 5.7.1 One two'],
    ['554 ü', '554 5.0.0 ??'],
    ['450', '450 4.0.0'],
    ['550 Spam', '550 5.0.0 Spam'],
    ['550 5.7.1', '550 5.7.1'],
    ['550 4.7.1 Of another class', '550 5.7.1 Of another class'],
    ['450 5.7.1 Of another class', '450 4.7.1 Of another class'],
  ])('%j to the message is passed on', async (said, heard) => {
    relay.answer = (line) => (line === '.' ? said : undefined)
    expect(await last()).toBe(heard)
    relay.answer = () => undefined
    expect(await last()).toMatch(/^250 /)
  })

  test('other refusals are passed on where they come', async () => {
    relay.answer = (line) => (is(line, 'MAIL') ? '451 4.7.1 Greylisted' : undefined)
    expect(await send()).toEqual(['250 2.1.0 Accepted', '451 4.7.1 Greylisted'])
    await client.say('RSET')
    relay.answer = (line) => (is(line, 'DATA') ? '554 5.5.0 No' : undefined)
    expect(await last()).toBe('554 5.5.0 No')
    expect(relay.messages).toEqual([])
  })

  test('and not when it comes before the final dot', async () => {
    relay.answer = (line, socket) => {
      if (line === 'DATA') setImmediate(() => socket.write('250 2.6.0 Taken already\r\n'))
      return undefined
    }
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    // Holds the last question, after a header without a body, until the early reply is there.
    const { questions } = lookup
    lookup.before = async () => {
      if (lookup.questions > questions + 2) await delay(50)
    }
    client.write('From: a@ok.test\r\n.\r\n')
    expect(await client.reply()).toBe(trouble)
    expect(relay.messages).toEqual([])
  })

  test.each(['goes on', 'hangs up'])(
    'a relay that refuses in the middle of the message and %s is heard',
    async (then) => {
      let relaySocket: Socket | undefined
      relay.answer = (line, socket) => {
        if (line === 'DATA') relaySocket = socket
        return undefined
      }
      await client.say('MAIL FROM:<a@ok.test>')
      await client.say('RCPT TO:<b@c.test>')
      await client.say('DATA')
      client.write('From: a@ok.test\r\n\r\nfirst\r\n')
      while (relay.arriving() === 0) await new Promise((resolve) => setImmediate(resolve))
      relaySocket?.write('552 5.3.4 Stop\r\n')
      if (then === 'hangs up') {
        relaySocket?.end()
        while (relaySocket?.destroyed === false) await nextTurn()
      }
      client.write(`${'x'.repeat(900)}\r\n`.repeat(100))
      client.write('.\r\n')
      expect(await client.reply()).toBe('552 5.3.4 Stop')
      expect(relay.messages.length).toBeLessThan(2)
      expect(await last()).toMatch(/^250 /)
    },
  )
})

describe('trouble with the relay is 451, and nothing that the client did', () => {
  const verbs = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', '.'] as const
  const misdeeds: [string, ScriptedRelay['answer']][] = [
    ['is silent', () => null],
    [
      'hangs up',
      (_line, socket) => {
        socket.destroy()
        return null
      },
    ],
    ['says nonsense', () => 'HTTP/1.1 200 OK'],
    ['says an impossible code', () => '999 What'],
    ['says success in the wrong place', () => '299 Hm'],
    ['says two codes in one reply', (line) => `550-No\r\n${line === 'DATA' ? 354 : 250} Yes`],
    ['goes away', () => '421 4.3.2 Going down'],
    ['answers without end', () => '250-x\r\n'.repeat(200)],
    ['writes an endless line', () => '2'.repeat(10_000)],
    ['wants a login of the gate', () => '530 5.7.0 Authentication required'],
    ['does not take the gate’s login', () => '535 5.7.8 Bad credentials'],
  ]
  const cases = misdeeds.flatMap(([name, answer]) =>
    verbs.map((verb) => [name, verb, answer] as const),
  )

  test.each(cases)('it %s at %s', async (_name, verb, answer) => {
    await start({ upstreamTimeoutMs: 150 })
    relay.answer = (line, socket) => (is(line, verb) ? answer(line, socket) : undefined)
    const heard = await last()
    expect(heard).toBe(trouble)
    // And it is over when it is over.
    relay.answer = () => undefined
    await client.say('RSET')
    expect(await send()).toContain('250 2.6.0 Taken as R1')
    expect(gate.logged.some(({ event }) => event === 'upstream_failed')).toBe(true)
  })

  test('nobody listens there', async () => {
    await start()
    await relay.close()
    expect(await last()).toBe(trouble)
  })

  test('a client’s refused recipient does not break the others off', async () => {
    await start()
    relay.answer = (line) => (line.includes('<no@') ? '550 5.1.1 No' : undefined)
    await client.say('MAIL FROM:<a@ok.test>')
    expect(await client.say('RCPT TO:<no@c.test>')).toBe('550 5.1.1 No')
    expect(await client.say('RCPT TO:<yes@c.test>')).toBe('250 2.1.5 Accepted')
  })
})

describe('the relay hears of the sender with the first recipient', () => {
  const greylisted = '451 4.7.1 Greylisted'

  /** What came to the relay in one piece with MAIL, behind it. */
  async function togetherWithMail(extensions: readonly string[]) {
    relay.extensions = [...extensions]
    let behind: string[] = []
    relay.answer = (line) => {
      // It reads all lines of a piece at once.
      if (is(line, 'MAIL')) {
        queueMicrotask(() => {
          behind = relay.commands.slice(relay.commands.indexOf(line) + 1)
        })
      }
      return undefined
    }
    relay.commands.length = 0
    await client.say('MAIL FROM:<a@ok.test>')
    expect(relay.commands).toEqual([])
    expect(await client.say('RCPT TO:<b@c.test>')).toBe('250 2.1.5 Accepted')
    return behind
  }

  async function finishMessage() {
    await client.say('DATA')
    client.write(`${message}.\r\n`)
    return client.reply()
  }

  beforeEach(() => start())

  test('in one write where it has PIPELINING (RFC 2920)', async () => {
    expect(await togetherWithMail(['PIPELINING'])).toEqual(['RCPT TO:<b@c.test>'])
    expect(await finishMessage()).toBe('250 2.6.0 Taken as R1')
    expect(await togetherWithMail(['PIPELINING'])).toEqual(['RCPT TO:<b@c.test>'])
  })

  test('and in step for a while where its answers to one write come long after each other', async () => {
    relay.deliver = (socket, bytes) => {
      setTimeout(() => socket.write(bytes), bytes.includes('Recipient') ? 100 : 0)
    }
    expect(await togetherWithMail(['PIPELINING'])).toEqual(['RCPT TO:<b@c.test>'])
    expect(await finishMessage()).toBe('250 2.6.0 Taken as R1')
    for (let i = 0; i < 50; i++) {
      expect(await togetherWithMail(['PIPELINING'])).toEqual([])
      expect(await finishMessage()).toBe('250 2.6.0 Taken as R1')
      relay.deliver = (socket, bytes) => socket.write(bytes)
    }
    expect(await togetherWithMail(['PIPELINING'])).toEqual(['RCPT TO:<b@c.test>'])
    expect(relay.connections).toBe(1)
  })

  test('and one after the other where it has not', async () => {
    expect(await togetherWithMail([])).toEqual([])
  })

  test('once, however many recipients there are, and whatever it says of the first', async () => {
    relay.answer = (line) => (line.includes('<no@') ? '550 5.1.1 No' : undefined)
    await client.say('MAIL FROM:<a@ok.test>')
    for (const name of ['no', 'yes', 'also']) await client.say(`RCPT TO:<${name}@c.test>`)
    expect(relay.commands.filter((line) => !line.startsWith('EHLO'))).toEqual([
      'MAIL FROM:<a@ok.test>',
      'RCPT TO:<no@c.test>',
      'RCPT TO:<yes@c.test>',
      'RCPT TO:<also@c.test>',
    ])
  })

  test.each([
    ['PIPELINING', '503 5.5.1 No MAIL'],
    ['PIPELINING', '554 5.5.1 No valid recipients'],
    ['', undefined],
  ])(
    'a refused sender is told to each recipient, and nothing of it is left behind (%s, %j)',
    async (extension, toRecipient) => {
      relay.extensions = [extension]
      relay.answer = (line) => {
        if (is(line, 'MAIL')) return greylisted
        return is(line, 'RCPT') ? toRecipient : undefined
      }
      await client.say('MAIL FROM:<a@ok.test>')
      for (let i = 0; i < 2; i++) expect(await client.say('RCPT TO:<b@c.test>')).toBe(greylisted)
      await client.say('RSET')
      relay.answer = () => undefined
      expect(await last()).toBe('250 2.6.0 Taken as R1')
      expect(relay.connections).toBe(1)
    },
  )

  test('and has its whole time for each of the two answers', async () => {
    const sockets = collectSockets()
    let relaySocket: Socket | undefined
    relay.answer = (line, socket) => {
      relaySocket = socket
      return is(line, 'MAIL') || is(line, 'RCPT') ? null : undefined
    }
    await client.say('MAIL FROM:<a@ok.test>')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const replied = client.say('RCPT TO:<b@c.test>')
    while (!relay.commands.includes('RCPT TO:<b@c.test>')) await nextTurn()
    vi.advanceTimersByTime(400)
    const ofGate = sockets.find(({ remotePort }) => remotePort === relay.port)
    expect(ofGate).toBeDefined()
    const before = ofGate?.bytesRead
    relaySocket?.write('250 2.1.0 Sender ok\r\n')
    while (ofGate?.bytesRead === before) await nextTurn()
    vi.advanceTimersByTime(400)
    relaySocket?.write('250 2.1.5 Recipient ok\r\n')
    expect(await replied).toBe('250 2.1.5 Accepted')
  })

  test('a relay that refuses the sender and hangs up is heard', async () => {
    relay.answer = (line, socket) => {
      if (!is(line, 'MAIL')) return undefined
      socket.end('550 5.7.1 Not from you\r\n')
      return null
    }
    expect(await last()).toBe('550 5.7.1 Not from you')
  })

  test('a relay that takes a recipient without a sender is not asked again on that connection', async () => {
    relay.answer = (line) => (is(line, 'MAIL') ? greylisted : undefined)
    expect(await last()).toBe(greylisted)
    await client.say('RSET')
    relay.answer = () => undefined
    expect(await last()).toBe('250 2.6.0 Taken as R1')
    expect(relay.connections).toBe(2)
  })

  test('a client that leaves while the relay is asked about its first recipient leaves no connection behind', async () => {
    const sockets = collectSockets(['net.server.socket'])
    client = await authenticated()
    const ofGate = otherEnd(sockets, client.socket())
    let relaySocket: Socket | undefined
    relay.answer = (line, socket) => {
      if (!is(line, 'RCPT')) return undefined
      relaySocket = socket
      return null
    }
    await client.say('MAIL FROM:<a@ok.test>')
    client.write('RCPT TO:<b@c.test>\r\n')
    await vi.waitFor(() => expect(relaySocket).toBeDefined())
    client.socket().destroy()
    await vi.waitFor(() => expect(ofGate.destroyed).toBe(true))
    relaySocket?.write('250 2.1.5 Recipient ok\r\n')
    await vi.waitFor(() => expect(relaySocket?.destroyed).toBe(true))
  })

  test('after trouble the other recipients hear of it at once', async () => {
    await relay.close()
    await client.say('MAIL FROM:<a@ok.test>')
    for (let i = 0; i < 2; i++) expect(await client.say('RCPT TO:<b@c.test>')).toBe(trouble)
    const troubles = gate.logged.filter(({ event }) => event === 'upstream_failed')
    expect(troubles).toHaveLength(1)
  })
})

describe('connections to the relay', () => {
  beforeEach(() => start())

  test('are used again for the next message, of any client', async () => {
    await send()
    await send()
    await send(await authenticated())
    expect(relay.connections).toBe(1)
    expect(relay.messages).toHaveLength(3)
  })

  /** Everybody sends a message, and nobody’s RCPT is answered before all are asked. */
  async function sendTogether(clients: readonly SmtpClient[]): Promise<readonly Socket[]> {
    const asked: Socket[] = []
    relay.answer = (line, socket) => {
      if (!is(line, 'RCPT')) return undefined
      asked.push(socket)
      if (asked.length < clients.length) return null
      for (const each of asked) each.write('250 2.1.5 Recipient ok\r\n')
      return null
    }
    const replies = await Promise.all(clients.map((each) => send(each)))
    expect(new Set(replies.map((each) => each.at(-1)))).toEqual(new Set(['250 2.6.0 Taken as R1']))
    relay.answer = () => undefined
    return asked
  }

  test('as many as were in use at once wait for the next messages', async () => {
    const clients = await Promise.all(Array.from({ length: 70 }, authenticated))
    await sendTogether(clients)
    await sendTogether(clients)
    expect(relay.connections).toBe(clients.length)
  })

  test('one that died unnoticed is replaced once, and the client hears nothing of it', async () => {
    await send()
    let first = true
    relay.answer = (line, socket) => {
      if (!is(line, 'MAIL') || !first) return undefined
      first = false
      socket.destroy()
      return null
    }
    expect(await last()).toBe('250 2.6.0 Taken as R1')
    expect(relay.connections).toBe(2)
  })

  test('one that says 421 to MAIL is replaced too, once', async () => {
    await send()
    relay.answer = (line) => (is(line, 'MAIL') ? '421 4.4.2 Idle too long' : undefined)
    expect(await last()).toBe(trouble)
    expect(relay.connections).toBe(2)
  })

  test('one on which the relay has turned against the gate is replaced, and not kept', async () => {
    await send()
    let bad: Socket | undefined
    relay.answer = (line, socket) => {
      if (!is(line, 'MAIL')) return undefined
      bad ??= socket
      return socket === bad ? '503 5.5.1 Nested MAIL' : undefined
    }
    expect(await last()).toBe('250 2.6.0 Taken as R1')
    expect(await last()).toBe('250 2.6.0 Taken as R1')
    expect(relay.connections).toBe(2)
  })

  test('one that was closed while it waited is not taken', async () => {
    await send()
    relay.cut()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await last()).toMatch(/^250 /)
  })

  test('one that is not needed any more is given up, and one that is goes on', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    gate = await startSmtpGateway(lookup, relay.port)
    const one = await authenticated()
    const sockets = await sendTogether([one, await authenticated()])
    const closing = Promise.race(
      sockets.map((each) => new Promise((resolve) => each.once('close', resolve))),
    )
    for (let period = 0; period < 3; period++) {
      expect((await send(one)).at(-1)).toMatch(/^250 /)
      vi.advanceTimersByTime(7_500)
    }
    await closing
    expect((await send(one)).at(-1)).toMatch(/^250 /)
    expect(sockets.map(({ destroyed }) => destroyed).toSorted()).toEqual([false, true])
    expect(relay.connections).toBe(2)
  })

  test('carry all of a message whose client leaves right behind it, or nothing', async () => {
    const sockets = collectSockets(['net.server.socket'])
    client = await authenticated()
    const ofGate = otherEnd(sockets, client.socket())
    const asked = Promise.withResolvers<Socket>()
    relay.answer = (line, socket) => {
      if (line === 'DATA') asked.resolve(socket)
      return undefined
    }
    // The answer to DATA waits, and with it what the gate has read ahead.
    let release = () => {}
    relay.deliver = (socket, bytes) => {
      if (!bytes.startsWith('354')) return void socket.write(bytes)
      release = () => socket.write(bytes)
    }
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    const filler = `${'x'.repeat(70)}\r\n`.repeat(240)
    // Without its last two bytes the second part would be the end of a whole message.
    const parts = [
      `From: a@ok.test\r\n\r\n${filler}`,
      `${filler}\r\nab`,
      'c\r\nThe last part\r\n.\r\n',
    ]
    for (const part of parts) {
      const readBefore = ofGate.bytesRead
      client.write(part)
      while (ofGate.bytesRead < readBefore + part.length) await nextTurn()
    }
    const relaySocket = await asked.promise
    client.socket().resetAndDestroy()
    while (!ofGate.destroyed) await nextTurn()
    release()
    await vi.waitFor(() => {
      expect(relay.commands.includes('.') || relaySocket.destroyed).toBe(true)
    })
    for (const each of relay.messages) expect(each.toString()).toMatch(/The last part\r\n$/)
  })

  test('are not held when the client leaves in the middle', async () => {
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write('From: a@ok.test\r\n\r\nhalf')
    while (relay.arriving() === 0) await new Promise((resolve) => setImmediate(resolve))
    client.socket().destroy()
    client = await authenticated()
    expect(await last()).toMatch(/^250 /)
    expect(relay.messages).toHaveLength(1)
    expect(relay.messages[0]?.toString()).not.toContain('half')
    // Neither the relay's trouble nor the gate's.
    const troubles = gate.logged.filter(({ level }) => level === 'warn' || level === 'error')
    expect(troubles).toEqual([])
  })
})

describe('the way to the relay', () => {
  const certificate: Certificate = createCertificate('relay.test')
  const to = (port: number, security: 'none' | 'implicit' | 'starttls', more = {}) => ({
    transactional: { host: '127.0.0.1', port, security, ca: certificate.cert, ...more },
  })

  async function through(
    security: 'none' | 'implicit' | 'starttls',
    tls: Parameters<typeof startScriptedRelay>[0],
    more = {},
    extensions: string[] = [],
  ) {
    await start({}, tls)
    relay.extensions = extensions
    gate = await startSmtpGateway(lookup, relay.port, { upstreams: to(relay.port, security, more) })
    client = await authenticated()
  }

  test('STARTTLS, and EHLO again after it', async () => {
    await through('starttls', { implicit: false, certificate })
    expect(await last()).toMatch(/^250 /)
    expect(relay.commands.slice(0, 3)).toEqual(['EHLO gate.test', 'STARTTLS', 'EHLO gate.test'])
  })

  test('implicit TLS', async () => {
    await through('implicit', { implicit: true, certificate })
    expect(await last()).toMatch(/^250 /)
  })

  test('a certificate that nobody vouches for is no relay of ours', async () => {
    await through('implicit', { implicit: true, certificate: createCertificate('relay.test') })
    expect(await last()).toBe(trouble)
    await through('starttls', { implicit: false, certificate: createCertificate('relay.test') })
    expect(await last()).toBe(trouble)
    expect(relay.commands).not.toContain('MAIL FROM:<a@ok.test>')
  })

  test('without the STARTTLS that was asked for nothing is sent', async () => {
    await through('starttls', undefined)
    relay.answer = (line) => (line === 'STARTTLS' ? '454 4.7.0 Not now' : undefined)
    expect(await last()).toBe(trouble)
  })

  test('what was sent in the clear behind STARTTLS is not believed', async () => {
    await through('starttls', { implicit: false, certificate })
    relay.answer = (line) => (line === 'STARTTLS' ? '220 Ready\r\n250 injected' : undefined)
    expect(await last()).toBe(trouble)
  })

  test('AUTH with the gate’s own credential, PLAIN or LOGIN, never the client’s', async () => {
    const auth = { user: 'gate', pass: 'gate-secret' }
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    await through('none', undefined, { auth }, ['AUTH PLAIN LOGIN'])
    expect(await last()).toMatch(/^250 /)
    expect(relay.commands).toContain(`AUTH PLAIN ${base64('\0gate\0gate-secret')}`)

    await through('none', undefined, { auth }, ['AUTH LOGIN'])
    relay.answer = (line) => {
      if (line === 'AUTH LOGIN') return '334 VXNlcm5hbWU6'
      if (line === base64('gate')) return '334 UGFzc3dvcmQ6'
      return line === base64('gate-secret') ? '235 2.7.0 Ok' : undefined
    }
    expect(await last()).toMatch(/^250 /)
    expect(relay.commands.join()).not.toContain(base64(token))

    await through('none', undefined, { auth }, [])
    expect(await last()).toBe(trouble)
  })

  test('a relay without ESMTP is greeted with HELO', async () => {
    await start()
    relay.answer = (line) => (is(line, 'EHLO') ? '500 What?' : undefined)
    expect(await last()).toMatch(/^250 /)
    expect(relay.commands).toContain('HELO gate.test')
  })

  test('a relay that offers CHUNKING is sent DATA: what it refused of a chunk it might read as commands', async () => {
    await start()
    relay.extensions.push('CHUNKING')
    expect(await last()).toMatch(/^250 /)
    expect(relay.commands.slice(-2)).toEqual(['DATA', '.'])
  })

  test('bulk mail goes to the bulk relay', async () => {
    await start()
    const bulkRelay = await startScriptedRelay()
    onTestFinished(() => bulkRelay.close())
    const listener = { host: '127.0.0.1', port: 0, implicitTls: false }
    gate = await startSmtpGateway(lookup, relay.port, {
      listeners: [
        { ...listener, stream: 'transactional' },
        { ...listener, stream: 'bulk' },
      ],
      upstreams: {
        transactional: { host: '127.0.0.1', port: relay.port, security: 'none' },
        bulk: { host: '127.0.0.1', port: bulkRelay.port, security: 'none' },
      },
    })
    const bulk = await connectSmtp(gate.addresses[1] ?? '')
    await bulk.say('EHLO client.test')
    await bulk.say(plain(token))
    expect((await send(bulk)).at(-1)).toMatch(/^250 /)
    expect([relay.messages.length, bulkRelay.messages.length]).toEqual([0, 1])
  })
})
