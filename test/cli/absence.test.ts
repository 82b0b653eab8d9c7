import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Operations } from '../../src/cli/command.ts'
import { createLocalManagement } from '../../src/cli/local-management.ts'
import type { Receipt } from '../../src/service/ports/registry.ts'
import { createCommandLine, settingsIn } from '../helpers/command-line.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

/**
 * Who repeats a command wants to know that what it did holds everywhere: also "there is none" is said only when no node
 * decides on an older state.
 */

let place: Workplace

beforeEach(async () => {
  place = createWorkplace()
  const prepare = createCommandLine(settingsIn(place.folder))
  await prepare('account', 'create', 'Acme')
  await prepare('domain', 'add', 'acme.test')
  await prepare('domain', 'remove', 'acme.test')
})
afterEach(() => place.remove())

const receipt: Receipt = {
  epoch: 0,
  propagation: 'confirmed',
  confirmed: 1,
  fenced: 0,
  waitingFor: [],
  ms: 1,
}

describe.each([
  [['domain', 'remove', 'acme.test'], 'there is no domain acme.test'],
  [['token', 'delete', '999'], 'there is no such token'],
])('postern %j, of what is not there', (args, sentence) => {
  test('says so only after the last change is confirmed', async () => {
    const held = Promise.withResolvers<Receipt>()
    const asked = Promise.withResolvers<number>()
    const confirm = (epoch: number) => {
      asked.resolve(epoch)
      return held.promise
    }
    let answered = false
    const running = createCommandLine(settingsIn(place.folder), { confirm })(...args)
    void running.then(() => {
      answered = true
    })
    const first = await Promise.race([asked.promise, running])
    // The domain was added, and removed.
    expect(first).toBe(2)
    expect(answered).toBe(false)
    held.resolve(receipt)
    expect(await running).toEqual({
      status: 1,
      stdout: '',
      stderr: expect.stringContaining(sentence),
    })
  })

  test('is exit status 3 while that is not known', async () => {
    const confirm = async (epoch: number): Promise<Receipt> => ({
      ...receipt,
      epoch,
      propagation: 'pending',
      waitingFor: ['n'],
    })
    const postern = createCommandLine(settingsIn(place.folder), { confirm })
    const { status, stdout } = await postern(...args, '--json')
    expect(status).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({
      receipt: { epoch: 2, propagation: 'pending', waiting_for: ['n'] },
    })
  })
})

test('a domain that somebody else removes meanwhile is not there either, once that holds everywhere', async () => {
  const confirmed: number[] = []
  const operations = {
    store: { readNodes: async () => ({ moment: { era: 'e', epoch: 7 } }) },
    revoke: {
      removeDomain: async () => ({ done: false, refusal: { reason: 'no-such-domain' } }),
    },
    confirm: async (epoch: number) => {
      confirmed.push(epoch)
      return receipt
    },
  } as unknown as Operations
  const management = createLocalManagement(operations, { name: 'x', origin: 'cli' })
  const domain = {
    ...({ id: 1, accountId: 1, name: 'acme.test', state: 'verified' } as const),
    verifiedAt: null,
    dnsRecord: null,
  }
  expect(await management.removeDomain(domain)).toEqual({ value: undefined, receipt })
  expect(confirmed).toEqual([7])
})
