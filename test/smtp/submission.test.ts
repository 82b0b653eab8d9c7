import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SMTPServerAddress, SMTPServerSession } from 'smtp-server'
import { expect, test } from 'vitest'
import { piecesOf } from '../../smtp/message.ts'
import { createSenderCheck } from '../../smtp/sender.ts'
import type { Session } from '../../smtp/session.ts'
import { createSubmission } from '../../smtp/submission.ts'
import type { Principal } from '../../src/core/decide.ts'
import type { Admission } from '../../src/service/admission.ts'
import {
  type Authenticator,
  type Clearance,
  presentedToken,
  type Verdict,
} from '../../src/service/authenticate.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { createHeldRelay } from '../helpers/held-relay.ts'

test('a dot whose question had to be waited for is asked about again behind what went out meanwhile', async () => {
  const clock = createFakeClock()
  const relay = createHeldRelay()
  const principal = { tokenId: 1, accountId: 1 } as Principal
  const clearance: Clearance = { allowed: true, principal, stillHolds: () => true }
  let isAtHand = true
  const questions: PromiseWithResolvers<Verdict>[] = []
  function authorise() {
    if (isAtHand) return clearance
    const question = Promise.withResolvers<Verdict>()
    questions.push(question)
    return question.promise
  }
  const authenticator = { authorise } as Partial<Authenticator> as Authenticator
  const admission = {} as Admission
  const submission = createSubmission({
    senders: createSenderCheck({ authenticator, admission, clock }),
    assertions: { sign: () => 'signed' },
    clock,
    upstream: {
      origin: 'smtp://relay.test:25',
      takeIdle: () => ({ ...relay.connection, extensions: new Map(), begin }),
      connect: () => Promise.reject(new Error('there is one')),
      release: () => {},
      close: () => {},
    },
    hostname: 'gate.test',
    maxMessageBytes: 100_000,
    onUpstreamTrouble: () => {},
  })
  async function begin() {
    const taken = { code: 250, lines: ['Ok'] }
    return { mail: taken, rcpt: taken }
  }
  const presented = presentedToken('of a token')
  const session = { presented, closed: false, requestId: () => 'id' } as Session
  const smtp = { hostNameAppearsAs: 'client.test', remoteAddress: '192.0.2.1' } as SMTPServerSession
  const address = (text: string) => ({ address: text, args: false }) as SMTPServerAddress
  await submission.mail(session, smtp, address('a@ok.test'))
  await submission.rcpt(session, smtp, address('b@c.test'))

  const message = new PassThrough()
  const answer = submission.data(session, smtp, piecesOf(message, clock))
  message.end('From: a@ok.test\r\n\r\nHello\r\n')
  while (relay.writes.length < 1) await nextTurn()
  isAtHand = false
  relay.take()
  relay.say('354 Go ahead')
  while (relay.writes.length < 2) await nextTurn()
  expect(questions).toHaveLength(1)
  expect(relay.writes.at(-1)).toMatch(/Hello\r\n$/)

  // The message is on its way, and the relay has not taken it.
  questions[0]?.resolve(clearance)
  await nextTurn()
  relay.take()
  await nextTurn()
  relay.take()
  await nextTurn()
  expect(relay.writes.join('')).toMatch(/Hello\r\n$/)
  expect(questions).toHaveLength(2)
  questions[1]?.resolve(clearance)
  await nextTurn()
  // The dot goes out when the turn is over in which it was asked for.
  await nextTurn()
  expect(relay.writes.at(-1)).toBe('.\r\n')
  relay.say('250 Taken')
  expect(await answer).toMatch(/Taken/)
})
