import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { runBenchmark, type Section } from '../../bench/benchmark.ts'
import { WrongAnswers } from '../../bench/load/counts.ts'
import { plans } from '../../bench/plan.ts'
import { createCrew } from '../../bench/processes/crew.ts'
import { createFixture } from '../../bench/subjects/fixture.ts'
import { lineUp } from '../../bench/subjects/line-up.ts'
import type { Subject } from '../../bench/subjects/subject.ts'
import type { Workload } from '../../bench/workload.ts'
import { http } from '../../bench/workloads/http.ts'
import { smtp } from '../../bench/workloads/smtp.ts'

/** The harness in its smallest form, without peers and without looking at any figure. */

function run(workloads: readonly Workload[]) {
  return runBenchmark({
    plan: plans.smoke,
    workloads,
    isWanted: ({ name, kind }) => kind === 'floor' || name === 'Postern',
    onProgress() {},
  })
}

function rowsOf(section: Section | undefined, title: string) {
  const table = section?.findings?.tables?.find((each) => each.title === title)
  return table?.rows.map(([subject]) => subject)
}

test('a run measures the gate beside the floor, over HTTP and over SMTP, with every answer as expected', async () => {
  const { sections, machine } = await run([http, smtp])
  expect(sections.map(({ failure }) => failure)).toEqual([undefined, undefined])
  expect(rowsOf(sections[0], 'CPU time for each request')).toEqual([
    ...['floor: node:http + undici', 'Postern'],
  ])
  for (const shape of ['1', '10']) {
    expect(rowsOf(sections[1], `CPU time for each message, ${shape} on a connection`)).toEqual([
      ...['floor: smtp-server + relay', 'Postern'],
      ...['floor: smtp-server', 'floor: smtp-server + nodemailer'],
    ])
  }
  expect(machine.node).toBe(process.version)
}, 60_000)

test('a workload that fails says why, ends what it started, and the next one is run', async () => {
  let started = 0
  const failing: Workload = {
    name: 'failing',
    about: '',
    async run({ crew }) {
      const folder = crew.folder('sleeper')
      const program = crew.program({ command: 'sleep', args: ['1000'], folder })
      started = program.pid
      expect(isAlive(started)).toBe(true)
      throw new WrongAnswers('x answered 401')
    },
  }
  const next: Workload = {
    name: 'next',
    about: '',
    run: async () => ({ notes: ['was run'], samples: [] }),
  }
  const { sections } = await run([failing, next])
  expect(sections[0]?.failure).toBe('x answered 401')
  expect(sections[1]?.findings?.notes).toEqual(['was run'])
  expect(isAlive(started)).toBe(false)
})

test('a run that is interrupted leaves nothing, and no report in the place of an earlier one', async () => {
  const source = `
    import { once } from 'node:events'
    import { runBenchmark } from './bench/benchmark.ts'
    import { plans } from './bench/plan.ts'
    async function run({ crew }) {
      const folder = crew.folder('x')
      const program = crew.program({ command: 'sleep', args: ['1000'], folder })
      console.log(folder, program.pid)
      await once(program.process, 'exit')
      throw new Error('it was broken off')
    }
    const workloads = [{ name: 'x', about: '', run }, { name: 'y', about: '', run }]
    await runBenchmark({ plan: plans.smoke, workloads, isWanted: () => true, onProgress: console.log })
    console.log('the report is written')`
  const run = spawn(process.execPath, ['--input-type=module', '-e', source])
  onTestFinished(() => void run.kill('SIGKILL'))
  const [said] = await once(run.stdout, 'data')
  const [folder = '', pid] = String(said).trim().split(' ')
  expect(existsSync(folder)).toBe(true)
  run.kill('SIGINT')
  const [[status], out, errors] = await Promise.all([
    once(run, 'exit'),
    text(run.stdout),
    text(run.stderr),
  ])
  expect({ status, out, errors }).toEqual({
    ...{ status: 130, out: '', errors: 'interrupted: no report is written\n' },
  })
  expect(existsSync(folder)).toBe(false)
  expect(isAlive(Number(pid))).toBe(false)
})

const runBench = (...args: string[]) =>
  spawnSync(process.execPath, ['bench/run.ts', ...args], { encoding: 'utf8' })

test('an unknown subject is refused before anything is measured, with a list of those there are', () => {
  const { status, stderr } = runBench('http', '--subjects', 'postern,nope')
  expect(status).toBe(2)
  expect(stderr).toMatch(/^no subject has nope in its name; there are floor: .*, nginx proxy_pass,/)
  expect(runBench('check', '--subjects', 'Postern').stderr).toMatch(/^no subject has Postern/)
})

test('-h shows the usage', () => {
  const { status, stdout, stderr } = runBench('-h')
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout).toContain('--subjects NAME')
})

test('a peer that is not installed is named with the reason, and the others are started', async () => {
  const crew = createCrew()
  const subject = (name: string, missing?: string): Subject => ({
    ...{ name, kind: 'peer', about: '', checks: { token: true, sender: false } },
    missing: () => missing,
    version: () => '1',
    start: async () => ({ port: 0, pids: [] }),
  })
  try {
    const { contenders, notes } = await lineUp(
      { plan: plans.smoke, crew, progress() {}, isWanted: () => true },
      createFixture({ tokens: 1, domains: 1 }),
      [subject('here'), subject('away', 'it is not found')],
    )
    expect(contenders.map(({ name }) => name)).toEqual(['here'])
    expect(notes.missing).toEqual([{ name: 'away', reason: 'it is not found' }])
  } finally {
    await crew.end()
  }
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
