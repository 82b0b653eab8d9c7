import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  type OutageBench,
  openSession,
  probe,
  sendHttp,
  sendSmtp,
  storeLookups,
  unknownToken,
} from '../helpers/outage-bench.ts'
import type { OutageRow } from '../helpers/outage-table.ts'
import type { RunningProgram } from '../helpers/program.ts'
import { plain } from '../helpers/smtp-client.ts'

export interface StoreOutage {
  begin(): Promise<unknown> | unknown
  end(): Promise<unknown> | unknown
  /** Questions are still answered, truthfully, until the lease ends. */
  readonly isReadable?: boolean
  /** How `postern` is run where its own process is to meet the outage too. */
  postern?(...args: string[]): Promise<{ readonly status: number; readonly stderr: string }>
}

/** Everyone who comes back at once when the store does. */
const clients = 100
/** A credential and its domain, each read again a few times while the store comes and goes. */
const maxLookups = 12
const recovery = { timeout: 15_000, interval: 50 }

/** What a running gate answers while its store cannot be asked, whatever the reason, and what it does afterwards. */
export function storeOutage(
  row: OutageRow,
  stage: () => { readonly bench: OutageBench; readonly gate: RunningProgram },
  { begin, end, postern, isReadable = false }: StoreOutage,
) {
  describe(row.gone, () => {
    let bench: OutageBench
    let gate: RunningProgram
    let known: { id: number; token: string }
    let unseen: { id: number; token: string }
    let isOver = false

    beforeAll(async () => {
      ;({ bench, gate } = stage())
      known = await bench.createToken()
      unseen = await bench.createToken()
      // A short lease ends where the machine is busy with something else for as long.
      await insist(known.token)
      await begin()
    }, 60_000)

    /** Sends until it is let through: a token that is there hears 503 meanwhile, and never that it is an unknown one. */
    async function insist(token: string) {
      const refusals = new Set<number>()
      await vi.waitFor(async () => {
        const { status } = await sendHttp(gate, token)
        if (status !== 200) refusals.add(status)
        expect(status).toBe(200)
      }, recovery)
      refusals.delete(503)
      expect(refusals).toEqual(new Set())
    }

    async function endOnce() {
      if (isOver) return
      isOver = true
      await end()
    }
    afterAll(endOnce)

    test(`HTTP: ${row.http}`, { timeout: 40_000 }, async () => {
      const seen = new Set<number>()
      // While the lease lasts: what is not in memory is not denied for want of the store.
      const early = isReadable ? undefined : sendHttp(gate, unknownToken())
      async function ask(token: string) {
        const { status } = await sendHttp(gate, token)
        seen.add(status)
        return status
      }
      await expect.poll(() => ask(known.token), recovery).toBe(503)
      if (early !== undefined) expect((await early).status).toBe(503)
      expect([...seen].filter((status) => status !== 200 && status !== 503)).toEqual([])
      for (const token of [known.token, unseen.token, unknownToken()]) {
        const answer = await sendHttp(gate, token)
        expect(answer.status).toBe(503)
        expect(answer.retryAfter).toMatch(/^\d+$/)
      }
      const before = await storeLookups(gate)
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => sendHttp(gate, unseen.token)),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]))
      expect(await storeLookups(gate)).toBe(before)
    })

    test(`SMTP: ${row.smtp}`, { timeout: 40_000 }, async () => {
      for (const token of [known.token, unseen.token, unknownToken()]) {
        const session = await openSession(gate)
        expect(await session.say(plain(token))).toMatch(/^454 4\.7\.0 /)
      }
    })

    test(`control plane: ${row.control}`, { timeout: 40_000 }, async () => {
      expect(await probe(gate, '/livez')).toBe(200)
      expect(await probe(gate, '/readyz')).toBe(503)
      const run = postern ?? bench.place.postern
      const deletion = await run('token', 'delete', String(known.id))
      expect(deletion.status).toBe(1)
      expect(deletion.stderr).toMatch(/database/i)
    })

    test('afterwards everything goes on without a restart, and the store is not asked by all at once', {
      timeout: 60_000,
    }, async () => {
      const before = await storeLookups(gate)
      const crowd = Array.from({ length: clients }, () => insist(unseen.token))
      await Promise.all([endOnce(), ...crowd])
      expect((await storeLookups(gate)) - before).toBeLessThanOrEqual(maxLookups)
      await expect.poll(() => probe(gate, '/readyz'), recovery).toBe(200)
      await expect.poll(() => sendSmtp(gate, unseen.token), recovery).toMatch(/^250 /)
      // Right after an outage one more answer may be 503: what was in memory is perhaps read again.
      await insist(known.token)
      // The deletion that failed has changed nothing; the next one does.
      const { receipt } = await bench.place.json('token', 'delete', String(known.id))
      expect(receipt).toMatchObject({ propagation: 'confirmed' })
      await expect.poll(() => sendHttp(gate, known.token), recovery).toMatchObject({ status: 401 })
    })
  })
}
