import type { Socket } from 'node:net'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createCertificate } from '../helpers/certificate.ts'
import { createMemoryNode } from '../helpers/memory-node.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'
import { collectSockets, otherEnd } from '../helpers/sockets.ts'

/** What was decided is asked once more in the turn in which each step goes to the relay. */

const token = '4c2446b6e0f911ec94870a58a9feac02'
const ended = '421 4.7.0 The API token is no longer valid'
const undecided = '454 4.7.0 Temporary authentication failure: try again'

let node: ReturnType<typeof createMemoryNode>
let relay: ScriptedRelay
let gate: Awaited<ReturnType<typeof startSmtpGateway>>
let client: SmtpClient

beforeEach(async () => {
  node = createMemoryNode()
  node.store.allow(token, ['ok.test'])
  relay = await startScriptedRelay()
  onTestFinished(() => relay.close())
  const { trust, clock: decisionClock } = node
  gate = await startSmtpGateway(node.lookup, relay.port, { trust, decisionClock })
  client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  await client.say(plain(token))
})

/** Something happens when the relay is asked this, before it answers. */
function whenAsked(line: string, work: () => void) {
  relay.answer = (asked) => {
    if (asked === line) work()
    return undefined
  }
}

/** Something happens after the header was decided on, and before DATA goes to the relay. */
function whenSigning(work: () => void) {
  const { current } = gate.keyRing
  gate.keyRing.current = async () => {
    work()
    return current()
  }
}

/** Something happens in the turn in which the message ends, after the last question and before the dot goes out. */
function afterLastQuestion(work: () => void) {
  whenAsked('DATA', () => {
    const { mayDecide } = node.trust
    node.trust.mayDecide = () => {
      node.trust.mayDecide = mayDecide
      queueMicrotask(work)
      return mayDecide()
    }
  })
}

async function upToData() {
  await client.say('MAIL FROM:<a@ok.test>')
  await client.say('RCPT TO:<b@c.test>')
  await client.say('DATA')
}

async function sendMessage() {
  await upToData()
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250 /)
}

test('a token deleted while the relay greets never gets to MAIL', async () => {
  whenAsked('greeting', () => node.revoke(token))
  await client.say('MAIL FROM:<a@ok.test>')
  expect(await client.say('RCPT TO:<b@c.test>')).toBe(ended)
  expect(relay.commands.filter((line) => line.startsWith('MAIL'))).toEqual([])
})

test('a lease that ends while the relay greets is 454, and the relay hears no MAIL', async () => {
  whenAsked('greeting', () => {
    node.trust.hasLease = false
  })
  await client.say('MAIL FROM:<a@ok.test>')
  expect(await client.say('RCPT TO:<b@c.test>')).toBe(undecided)
  expect(relay.commands.filter((line) => line.startsWith('MAIL'))).toEqual([])
  node.trust.hasLease = true
  expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^250 /)
})

test('a token deleted after its header was read never gets to DATA', async () => {
  await upToData()
  whenSigning(() => node.revoke(token))
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toBe(ended)
  expect(relay.commands).not.toContain('DATA')
})

test('a token deleted while its message streams never gets to the final dot', async () => {
  await upToData()
  whenAsked('DATA', () => node.revoke(token))
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toBe(ended)
  expect(relay.messages).toEqual([])
})

test('a token deleted in the turn in which its message ends, after the last question, never gets to the final dot', async () => {
  await upToData()
  afterLastQuestion(() => node.revoke(token))
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toBe(ended)
  expect(relay.messages).toEqual([])
})

test('a token deleted while a relay that reads no more holds up the end of its message never gets to the final dot', async () => {
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve))
  const sockets = collectSockets(['net.client.socket', 'net.server.socket'])
  client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  await client.say(plain(token))
  const fromClient = otherEnd(sockets, client.socket())
  let held: Socket | undefined
  relay.duringMessage = (socket) => {
    held = socket.pause()
  }
  await upToData()
  const toRelay = sockets.find(({ remotePort }) => remotePort === relay.port)
  if (toRelay === undefined) throw new Error('no socket')

  /** Until the gate has read it, and has done with it what it can at once. */
  async function write(text: string) {
    client.write(text)
    while (fromClient.bytesRead < client.socket().bytesWritten) {
      await nextTurn()
    }
    await nextTurn()
  }
  await write('From: a@ok.test\r\n\r\nsome of it\r\n')
  while (held === undefined) await nextTurn()
  while (toRelay.writableLength === 0) await write(`${'x'.repeat(998)}\r\n`.repeat(10))
  await write('.\r\n')
  node.revoke(token)
  relay.duringMessage = () => {}
  held.resume()
  expect(await client.reply()).toBe(ended)
  expect(relay.messages).toEqual([])
})

test('a lease that ends while a message streams is temporary, and the relay never sees the final dot', async () => {
  await upToData()
  whenAsked('DATA', () => {
    node.trust.hasLease = false
  })
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toMatch(/^4\d\d 4\./)
  expect(relay.messages).toEqual([])
})

test('a change that leaves the permission lets the message through', async () => {
  await upToData()
  whenAsked('DATA', () => {
    node.change(token, () => {})
    node.catchUp()
  })
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250 /)
  expect(relay.messages).toHaveLength(1)
})

test('a change that leaves the permission, in the turn in which a message ends, lets it through with one line in the log', async () => {
  await upToData()
  afterLastQuestion(() => {
    node.change(token, () => {})
    node.catchUp()
  })
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250 /)
  expect(relay.messages).toHaveLength(1)
  expect(gate.logged.filter(({ stage }) => stage === 'message')).toHaveLength(1)
})

test('a decision that is superseded again and again is temporary, and the relay never sees the final dot', async () => {
  await upToData()
  function changeAgain() {
    node.change(token, () => {})
    node.catchUp()
  }
  whenAsked('DATA', () => {
    const { believes } = node.trust
    node.trust.believes = (sighting) => {
      queueMicrotask(changeAgain)
      return believes(sighting)
    }
  })
  client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
  expect(await client.reply()).toBe(undecided)
  expect(relay.messages).toEqual([])
})

test('a session is decided from memory: the store is asked for a token and a domain once', async () => {
  for (let i = 0; i < 3; i++) await sendMessage()
  expect(node.store.questions).toBe(2)
})

describe('what was decided about the message before', () => {
  beforeEach(sendMessage)

  test('is the answer for the next one from the same domain, and nothing is looked up', async () => {
    const lookups = [vi.spyOn(node.lookup, 'findCredential'), vi.spyOn(node.lookup, 'findDomain')]
    await sendMessage()
    for (const lookup of lookups) expect(lookup).not.toHaveBeenCalled()
    const permitted = gate.logged.filter(({ stage, allowed }) => stage === 'envelope' && allowed)
    expect(permitted).toHaveLength(2)
  })

  test('is none for another domain, and none for no domain', async () => {
    expect(await client.say('MAIL FROM:<a@other.test>')).toMatch(/^550 5\.7\.1 /)
    expect(await client.say('MAIL FROM:<>')).toMatch(/^250 /)
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write('From: a@other.test\r\n\r\nx\r\n.\r\n')
    expect(await client.reply()).toMatch(/^550 5\.7\.1 /)
  })

  test('is none once the token is deleted', async () => {
    node.revoke(token)
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe(ended)
  })

  test('is none without a lease', async () => {
    node.trust.hasLease = false
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe(undecided)
  })
})

test('what was decided before STARTTLS is no answer behind it', async () => {
  const another = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
  node.store.allow(another, ['another.test'])
  const pair = createCertificate('gate.test')
  const tls = { current: () => pair, onChange: () => () => {} }
  gate = await startSmtpGateway(node.lookup, relay.port, { trust: node.trust, tls })
  client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  await client.say(plain(token))
  expect(await client.say('MAIL FROM:<a@ok.test>')).toMatch(/^250 /)
  await client.say('STARTTLS')
  await client.upgrade()
  await client.say('EHLO client.test')
  expect(await client.say(plain(another))).toMatch(/^235 /)
  expect(await client.say('MAIL FROM:<a@ok.test>')).toMatch(/^550 5\.7\.1 /)
})
