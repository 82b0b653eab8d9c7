import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createCertificate } from '../helpers/certificate.ts'
import { createMemoryLookup, type MemoryLookup } from '../helpers/memory-lookup.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'
import { collectSockets, otherEnd } from '../helpers/sockets.ts'

/** What a client is told, line by line: whole replies. */

const certificate = createCertificate('gate.test')
const token = '4c2446b6e0f911ec94870a58a9feac02'
const badCredentials = '535 5.7.8 Authentication credentials invalid'
const base64 = (text: string) => Buffer.from(text).toString('base64')

let lookup: MemoryLookup
let relay: ScriptedRelay
let gate: Awaited<ReturnType<typeof startSmtpGateway>>

beforeEach(async () => {
  lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test', 'xn--bcher-kva.de'])
  lookup.allow('foreign', ['evil.test'])
  relay = await startScriptedRelay()
  onTestFinished(() => relay.close())
  gate = await startSmtpGateway(lookup, relay.port)
})

function listening(implicitTls: boolean) {
  return {
    tls: { current: () => certificate, onChange: () => () => {} },
    listeners: [{ host: '127.0.0.1', port: 0, implicitTls, stream: 'transactional' }],
  } as const
}

async function greeted(): Promise<SmtpClient> {
  const client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  return client
}

/** Before EHLO, with the gate's own socket. */
async function connectedAtBothEnds(options: { implicitTls?: boolean } = {}) {
  const sockets = collectSockets(['net.server.socket'])
  const client = await connectSmtp(gate.address, options)
  return { client, accepted: otherEnd(sockets, client.socket()) }
}

async function authenticated(): Promise<SmtpClient> {
  const client = await greeted()
  expect(await client.say(plain(token))).toBe('235 2.7.0 Authentication successful')
  return client
}

test('EHLO lists what the gate does, and nothing else', async () => {
  const client = await connectSmtp(gate.address)
  expect(await client.say('EHLO client.test')).toBe(
    [
      '250-gate.test',
      '250-PIPELINING',
      '250-8BITMIME',
      '250-SMTPUTF8',
      '250-ENHANCEDSTATUSCODES',
      '250-DSN',
      '250-AUTH PLAIN LOGIN',
      '250 SIZE 31457280',
    ].join('\n'),
  )
})

test('a character of a reply that would become a line end is shown as a question mark', async () => {
  const hostname = 'gate.test\u{10d}\u{10a}250 forged'
  const { address } = await startSmtpGateway(lookup, relay.port, { hostname })
  const client = await connectSmtp(address)
  expect(client.greeting).toBe('220 gate.test??250 forged ESMTP Postern')
  expect(await client.say('EHLO client.test')).toMatch(
    /^250-gate\.test\?\?250 forged\n250-PIPELINING\n/,
  )
})

test('replies to commands that came together go out together', async () => {
  const { client, accepted } = await connectedAtBothEnds()
  const writes = vi.spyOn(accepted, 'write')
  client.write('RSET\r\n'.repeat(3))
  for (let i = 0; i < 3; i++) expect(await client.reply()).toMatch(/^250 /)
  expect(writes).toHaveBeenCalledOnce()
})

test('a client that closes its side hears what was answered in the same turn', async () => {
  const { client, accepted } = await connectedAtBothEnds()
  accepted.prependOnceListener('end', () => accepted.emit('data', Buffer.from('NOOP\r\n')))
  client.socket().end()
  expect(await client.ended()).toMatch(/^250 /)
})

test('a client that waits for long is not watched twice', async () => {
  const { client, accepted } = await connectedAtBothEnds()
  await client.say('EHLO client.test')
  const answered = Promise.withResolvers<void>()
  lookup.before = () => answered.promise
  client.write(`${plain(token)}\r\n`)
  await vi.waitFor(() => expect(lookup.questions).toBe(1))
  const watching = accepted.listenerCount('end')
  accepted.emit('timeout')
  expect(accepted.listenerCount('end')).toBe(watching)
  answered.resolve()
  expect(await client.reply()).toMatch(/^235 /)
})

describe('AUTH', () => {
  test('PLAIN and LOGIN take the token as the password, in one line or in several', async () => {
    for (const user of ['api', 'smtp@mailtrap.io']) {
      expect(await (await greeted()).say(plain(token, user))).toMatch(/^235 2\.7\.0 /)
      const inSteps = await greeted()
      expect(await inSteps.say('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6')
      expect(await inSteps.say(base64(user))).toBe('334 UGFzc3dvcmQ6')
      expect(await inSteps.say(base64(token))).toMatch(/^235 2\.7\.0 /)
    }
    const withUser = await greeted()
    expect(await withUser.say(`AUTH LOGIN ${base64('api')}`)).toBe('334 UGFzc3dvcmQ6')
    expect(await withUser.say(base64(token))).toMatch(/^235 2\.7\.0 /)
    const empty = await greeted()
    expect(await empty.say('AUTH PLAIN')).toMatch(/^334/)
    expect(await empty.say(plain(token).slice('AUTH PLAIN '.length))).toMatch(/^235 2\.7\.0 /)
  })

  test.each([
    ['an unknown token', plain('unknown')],
    ['a token with a wrong checksum', plain('pst_abc')],
    ['no token', plain('')],
    ['a wrong user name', plain(token, 'root')],
    ['another spelling of the user name', plain(token, 'API')],
    ['a user name with more', plain(token, 'api ')],
    ['no user name', plain(token, '')],
    ['the right to act as another', plain(token, 'api', 'root')],
    ['a token with a space', plain(`${token} `)],
    ['a token beyond ASCII', plain(`${token}ü`)],
  ])('%s is refused like any other', async (_name, line) => {
    const client = await greeted()
    expect(await client.say(line)).toBe(badCredentials)
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe('530 5.7.0 Authentication required')
    expect(relay.connections).toBe(0)
  })

  test.each([
    ['no mechanism', 'AUTH', /^504 5\.5\.4 /],
    ['an unknown mechanism', 'AUTH XOAUTH2 x', /^504 5\.5\.4 /],
    ['CRAM-MD5, which needs the token in the clear here', 'AUTH CRAM-MD5', /^504 5\.5\.4 /],
    ['ANONYMOUS', 'AUTH ANONYMOUS', /^504 5\.5\.4 /],
    ['two parts only', `AUTH PLAIN ${base64(`api\0${token}`)}`, /^501 5\.5\.4 /],
    ['four parts', `AUTH PLAIN ${base64(`\0api\0${token}\0x`)}`, /^501 5\.5\.4 /],
    ['too many words', `${plain(token)} x`, /^501 5\.5\.4 /],
  ])('%s is a mistake, not a wrong password', async (_name, line, reply) => {
    expect(await (await greeted()).say(line)).toMatch(reply)
  })

  test('what is not base64 is a mistake wherever it stands (RFC 4954 §4)', async () => {
    const client = await greeted()
    const notBase64 = '501 5.5.2 The response is not base64'
    expect(await client.say(`${plain(token)}!`)).toBe(notBase64)
    expect(await client.say('AUTH LOGIN a-b')).toBe(notBase64)
    for (const lines of [
      ['AUTH PLAIN', `${plain(token).slice('AUTH PLAIN '.length)}!`],
      ['AUTH LOGIN', `${base64('api')} x`],
      ['AUTH LOGIN', base64('api'), `${base64(token)}!!`],
    ]) {
      const last = lines.pop() ?? ''
      for (const line of lines) expect(await client.say(line)).toMatch(/^334/)
      expect(await client.say(last)).toBe(notBase64)
    }
    expect(await client.say(plain(token).replace(/=+$/, ''))).toMatch(/^235 /)
  })

  test('it can be given up, and is not done twice', async () => {
    const client = await greeted()
    await client.say('AUTH LOGIN')
    expect(await client.say('*')).toMatch(/^501 /)
    await client.say(plain(token))
    expect(await client.say(plain(token))).toMatch(/^503 5\.5\.1 /)
  })

  test('the authorisation identity may be the user name itself', async () => {
    expect(await (await greeted()).say(plain(token, 'api', 'api'))).toMatch(/^235 /)
  })

  test('five failures end the connection', async () => {
    const client = await greeted()
    for (let i = 0; i < 4; i++) expect(await client.say(plain('wrong'))).toBe(badCredentials)
    expect(await client.say(plain('wrong'))).toBe('421 4.7.0 Too many failed authentications')
    await client.ended()
  })

  test('five failures in several lines each end it too', async () => {
    const client = await greeted()
    let said = ''
    for (let i = 0; i < 5 && !said.startsWith('421'); i++) {
      said = await client.say('AUTH LOGIN')
      if (said.startsWith('334')) said = await client.say(base64('api'))
      if (said.startsWith('334')) said = await client.say(base64('wrong'))
    }
    expect(said).toMatch(/^421 4\.7\.0 /)
    await client.ended()
  })

  test('a store that cannot be asked is never a wrong password', async () => {
    lookup.fault = new Error('the database is down: secret details')
    const client = await greeted()
    expect(await client.say(plain(token))).toBe(
      '454 4.7.0 Temporary authentication failure: try again',
    )
    lookup.fault = undefined
    expect(await client.say(plain(token))).toMatch(/^235 /)
  })

  test('neither a log line nor a reply ever holds a token', async () => {
    await authenticated()
    await (await greeted()).say(plain('wrong-token-of-somebody'))
    const log = JSON.stringify(gate.logged)
    expect(log).toContain('"stage":"auth"')
    expect(log).not.toContain(token)
    expect(log).not.toContain('wrong-token-of-somebody')
  })
})

describe('MAIL', () => {
  test.each([
    ['a domain of the token', '<a@ok.test>', '250 2.1.0 Accepted', 'MAIL FROM:<a@ok.test>'],
    ['in capitals', '<a@OK.TEST>', '250 2.1.0 Accepted', 'MAIL FROM:<a@ok.test>'],
    ['the null sender', '<>', '250 2.1.0 Accepted', 'MAIL FROM:<>'],
    ['an A-label', '<a@xn--bcher-kva.de>', '250 2.1.0 Accepted', 'MAIL FROM:<a@xn--bcher-kva.de>'],
    ['a plus address', '<a+b=c@ok.test>', '250 2.1.0 Accepted', 'MAIL FROM:<a+b=c@ok.test>'],
    [
      'a wide dot, which becomes an ordinary one',
      '<a@ok。test>',
      '250 2.1.0 Accepted',
      'MAIL FROM:<a@ok.test>',
    ],
    [
      'a source route, which counts for nothing',
      '<@evil.test:a@ok.test>',
      '250 2.1.0 Accepted',
      'MAIL FROM:<a@ok.test>',
    ],
  ])('%s is accepted, and passed on as it was checked', async (_name, sender, reply, passedOn) => {
    const client = await authenticated()
    expect(await client.say(`MAIL FROM:${sender}`)).toBe(reply)
    await client.say('RCPT TO:<b@c.test>')
    expect(relay.commands).toContain(passedOn)
  })

  test.each([
    ['a foreign domain', '<a@evil.test>', '550 5.7.1 Sending from domain evil.test is not allowed'],
    [
      'an unknown domain',
      '<a@nobody.test>',
      '550 5.7.1 Sending from domain nobody.test is not allowed',
    ],
    ['a subdomain', '<a@x.ok.test>', '550 5.7.1 Sending from domain x.ok.test is not allowed'],
    [
      'a U-label of a foreign domain',
      '<a@xn--mnchen-3ya.de>',
      '550 5.7.1 Sending from domain xn--mnchen-3ya.de is not allowed',
    ],
    [
      'the route of an own domain to a foreign one',
      '<@ok.test:a@evil.test>',
      '550 5.7.1 Sending from domain evil.test is not allowed',
    ],
    ['no domain', '<a>', /^501 5\.1\.7 /],
    ['an address literal', '<a@[127.0.0.1]>', /^501 5\.1\.7 /],
    ['a trailing dot', '<a@ok.test.>', /^501 5\.1\.7 /],
    ['two at signs', '<a@evil.test@ok.test>', /^501 5\.1\.7 /],
    ['no angle brackets', 'a@ok.test', /^501 5\.1\.7 /],
    ['an encoded line end', '<a@ok.test> RET=FULL+0D+0A', /^501 /],
    ['a list', '<a@ok.test,b@ok.test>', /^5\d\d /],
  ])('%s is refused, and the relay never hears of it', async (_name, sender, reply) => {
    const client = await authenticated()
    const said = await client.say(`MAIL FROM:${sender}`)
    if (typeof reply === 'string') expect(said).toBe(reply)
    else expect(said).toMatch(reply)
    expect(relay.commands.filter((line) => line.startsWith('MAIL'))).toEqual([])
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe('250 2.1.0 Accepted')
  })

  test('a message that says it is too large is refused before it comes', async () => {
    const client = await authenticated()
    expect(await client.say('MAIL FROM:<a@ok.test> SIZE=31457281')).toMatch(/^552 5\.3\.4 /)
    expect(await client.say('MAIL FROM:<a@ok.test> SIZE=31457280')).toMatch(/^250 /)
    await client.say('RCPT TO:<b@c.test>')
    expect(relay.commands).toContain('MAIL FROM:<a@ok.test> SIZE=31457280')
  })

  test('extensions are passed on when the relay has them', async () => {
    const client = await authenticated()
    const parameters = 'BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb'
    expect(await client.say(`MAIL FROM:<ü@ok.test> ${parameters}`)).toMatch(/^250 /)
    const recipient = 'RCPT TO:<ö@bücher.de> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.test'
    expect(await client.say(recipient)).toMatch(/^250 /)
    expect(relay.commands).toContain(`MAIL FROM:<ü@ok.test> ${parameters}`)
    expect(relay.commands).toContain(
      'RCPT TO:<ö@xn--bcher-kva.de> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.test',
    )
  })

  test('extensions that the relay lacks are left out, or refused where the message needs them', async () => {
    relay.extensions = []
    const client = await authenticated()
    await client.say('MAIL FROM:<a@ok.test> BODY=8BITMIME')
    expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^554 5\.6\.3 /)
    await client.say('RSET')
    await client.say('MAIL FROM:<a@ok.test> SMTPUTF8')
    expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^553 5\.6\.7 /)
    await client.say('RSET')
    expect(await client.say('MAIL FROM:<a@ok.test> SIZE=5 RET=HDRS ENVID=x')).toMatch(/^250 /)
    expect(await client.say('RCPT TO:<b@c.test> NOTIFY=NEVER')).toMatch(/^250 /)
    expect(relay.commands.slice(-2)).toEqual(['MAIL FROM:<a@ok.test>', 'RCPT TO:<b@c.test>'])
  })

  test.each(['REQUIRETLS', 'HOLDFOR=60', 'MT-PRIORITY=3', 'BY=60;R', 'X', '\rRCPT'])(
    'a parameter that was not offered is refused, and not left out: %j (RFC 5321 §4.1.1.11)',
    async (parameter) => {
      gate = await startSmtpGateway(lookup, relay.port, listening(true))
      const client = await connectSmtp(gate.address, { implicitTls: true })
      expect(await client.say('EHLO client.test')).not.toContain('REQUIRETLS')
      await client.say(plain(token))
      expect(await client.say(`MAIL FROM:<a@ok.test> ${parameter}`)).toMatch(/^555 5\.5\.4 /)
      await client.say('MAIL FROM:<a@ok.test> AUTH=<>')
      expect(await client.say(`RCPT TO:<b@c.test> ${parameter}`)).toMatch(/^555 5\.5\.4 /)
      expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^250 /)
      expect(relay.commands.slice(-2)).toEqual(['MAIL FROM:<a@ok.test>', 'RCPT TO:<b@c.test>'])
    },
  )

  test('an address beyond ASCII needs SMTPUTF8 (RFC 6531 §3.5)', async () => {
    const client = await authenticated()
    expect(await client.say('MAIL FROM:<ü@ok.test>')).toMatch(/^553 5\.6\.7 /)
    await client.say('MAIL FROM:<a@ok.test>')
    expect(await client.say('RCPT TO:<ü@c.test>')).toMatch(/^553 5\.6\.7 /)
  })

  test('thousands of MAIL and RSET in one write are all answered, though each is in the turn that reads it', async () => {
    // Were each answered from within the one before, the stack would not be deep enough.
    const client = await authenticated()
    client.write('MAIL FROM:<a@ok.test>\r\nRSET\r\n'.repeat(5_000))
    for (let i = 0; i < 5_000; i++) {
      expect(await client.reply()).toBe('250 2.1.0 Accepted')
      expect(await client.reply()).toMatch(/^250 /)
    }
    expect(await client.say('NOOP')).toMatch(/^250 /)
  })
})

describe('RCPT', () => {
  test('each recipient gets the relay’s own answer', async () => {
    relay.answer = (line) => {
      if (line.includes('<no@')) return '550-5.1.1 No such user\r\n550 5.1.1 here'
      if (line.includes('<later@')) return '450 4.2.1 Busy'
      if (line.includes('<bare@')) return '552 full'
      return undefined
    }
    const client = await authenticated()
    await client.say('MAIL FROM:<a@ok.test>')
    expect(await client.say('RCPT TO:<yes@c.test>')).toBe('250 2.1.5 Accepted')
    expect(await client.say('RCPT TO:<no@c.test>')).toBe('550 5.1.1 No such user here')
    expect(await client.say('RCPT TO:<later@c.test>')).toBe('450 4.2.1 Busy')
    expect(await client.say('RCPT TO:<bare@c.test>')).toBe('552 5.0.0 full')
    expect(relay.commands.filter((line) => line.startsWith('RCPT'))).toHaveLength(4)
  })

  test.each([
    ['postmaster', '<postmaster>', 'RCPT TO:<postmaster>'],
    ['a literal', '<a@[192.0.2.1]>', 'RCPT TO:<a@[192.0.2.1]>'],
    ['an A-label', '<a@xn--mnchen-3ya.de>', 'RCPT TO:<a@xn--mnchen-3ya.de>'],
  ])('%s is passed on', async (_name, recipient, passedOn) => {
    const client = await authenticated()
    await client.say('MAIL FROM:<a@ok.test>')
    expect(await client.say(`RCPT TO:${recipient}`)).toMatch(/^250 /)
    expect(relay.commands).toContain(passedOn)
  })

  test('without MAIL it is out of order; MAIL twice too', async () => {
    const client = await authenticated()
    expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^503 5\.5\.1 /)
    await client.say('MAIL FROM:<a@ok.test>')
    expect(await client.say('MAIL FROM:<a@ok.test>')).toMatch(/^503 5\.5\.1 /)
    expect(await client.say('DATA')).toMatch(/^503 5\.5\.1 /)
  })

  test('RSET and EHLO begin anew, with the relay too', async () => {
    const client = await authenticated()
    for (const verb of ['RSET', 'EHLO client.test']) {
      await client.say('MAIL FROM:<a@ok.test>')
      await client.say('RCPT TO:<first@c.test>')
      expect(await client.say(verb)).toMatch(/^250/)
      expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^503 /)
    }
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<second@c.test>')
    await client.say('DATA')
    client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
    expect(await client.reply()).toMatch(/^250 /)
    const lastMail = relay.commands.lastIndexOf('MAIL FROM:<a@ok.test>')
    const recipients = relay.commands.slice(lastMail).filter((line) => line.startsWith('RCPT'))
    expect(recipients).toEqual(['RCPT TO:<second@c.test>'])
  })
})

describe('QUIT', () => {
  test('ends the connection with its reply, and the client is not waited for', async () => {
    const { client, accepted } = await connectedAtBothEnds()
    expect(await client.say('QUIT')).toBe('221 2.0.0 Bye')
    expect(accepted.destroyed).toBe(true)
    expect(await client.ended()).toBe('')
  })

  test('loses no reply that the system has not taken yet', async () => {
    const { client, accepted } = await connectedAtBothEnds()
    const write = accepted._write.bind(accepted)
    const held = Promise.withResolvers<() => void>()
    vi.spyOn(accepted, '_write').mockImplementationOnce((...args) => {
      held.resolve(() => write(...args))
    })
    client.write('QUIT\r\n')
    const goOn = await held.promise
    await new Promise((resolve) => setImmediate(resolve))
    goOn()
    expect(await client.reply()).toBe('221 2.0.0 Bye')
    expect(await client.ended()).toBe('')
  })

  test('leaves time to read the answer to a message, which a byte behind it would reset', async () => {
    const { client, accepted } = await connectedAtBothEnds()
    await client.say('EHLO client.test')
    await client.say(plain(token))
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write('From: a@ok.test\r\n\r\nx\r\n.\r\nQUIT\r\n')
    expect(await client.reply()).toMatch(/^250 /)
    expect(await client.reply()).toBe('221 2.0.0 Bye')
    expect(accepted.destroyed).toBe(false)
    client.write('\r\n')
    expect(await client.ended()).toBe('')
  })

  test('does not cut off TLS before its close_notify', async () => {
    gate = await startSmtpGateway(lookup, relay.port, listening(true))
    const { client, accepted } = await connectedAtBothEnds({ implicitTls: true })
    expect(await client.say('QUIT')).toBe('221 2.0.0 Bye')
    expect(accepted.destroyed).toBe(false)
    expect(await client.ended()).toBe('')
  })

  test.each([false, true])('is the last command, over TLS or not: %s', async (implicitTls) => {
    gate = await startSmtpGateway(lookup, relay.port, listening(implicitTls))
    const client = await connectSmtp(gate.address, { implicitTls })
    client.write('QUIT\r\nNOOP\r\n')
    expect(await client.reply()).toBe('221 2.0.0 Bye')
    expect(await client.ended()).toBe('')
  })
})

describe('what is no command of submission', () => {
  test.each(['XCLIENT ADDR=1.2.3.4', 'XFORWARD ADDR=1.2.3.4', 'WIZ x', 'SHELL', 'KILL', 'BDAT 1'])(
    '%s',
    async (line) => {
      expect(await (await greeted()).say(line)).toMatch(/^500 5\.5\.2 /)
    },
  )

  test('HTTP on the SMTP port is cut off', async () => {
    const client = await connectSmtp(gate.address)
    expect(await client.say('POST /api/send HTTP/1.1')).toMatch(/^421 4\.7\.0 /)
    await client.ended()
  })

  test('an endless line is cut off', async () => {
    const client = await greeted()
    client.write('x'.repeat(100_000))
    expect(await client.reply()).toMatch(/^421 4\.7\.0 /)
    await client.ended()
  })

  test('too many of them are cut off', async () => {
    const client = await authenticated()
    for (let i = 0; i < 9; i++) expect(await client.say('X')).toMatch(/^500 5\.5\.2 /)
    expect(await client.say('X')).toMatch(/^421 4\.7\.0 /)
    await client.ended()
  })
})
