import cluster from 'node:cluster'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { userInfo } from 'node:os'
import { text } from 'node:stream/consumers'
import { styleText } from 'node:util'
import { readApiTarget, readApiUrl } from './api-target.ts'
import type { SettingValues } from './cli/parse-flags.ts'
import { type CliHost, runCli } from './cli/run.ts'
import { systemClock } from './clock.ts'
import {
  apiSettings,
  type Config,
  configFileVariable,
  flagName,
  type Mode,
  parseConfig,
  type Sources,
  settings,
} from './config.ts'
import { startDev } from './dev.ts'
import { startGateway } from './gateway.ts'
import { createLog } from './log.ts'
import { openOperations } from './operations.ts'
import { type Primary, startPrimary } from './primary.ts'
import { systemRandom } from './random.ts'
import { writeReadyFile } from './ready-file.ts'
import { readSettingsFile } from './setting-files.ts'
import { tuneV8 } from './v8.ts'
import { readVersion } from './version.ts'
import { startWorker } from './worker.ts'
import type { FromWorker } from './worker-messages.ts'

/** The process: the only reader of environment, arguments and signals. */

tuneV8()
const system = { clock: systemClock, random: systemRandom }
/** Whether a driver may keep what nobody can call back: a timer of two seconds, the look-up of a name. */
let mayLinger = false

const host: CliHost = {
  version: readVersion(),
  operator: operatorName(),
  apiFlags: Object.values(apiSettings).map((setting) => ({
    ...setting,
    flag: flagName(setting.variable),
  })),
  settingFlags: Object.values(settings).map(({ variable, about, parse }) => ({
    flag: flagName(variable),
    variable,
    about,
    values: parse.values,
  })),
  terminal: process.stdout.isTTY
    ? {
        // Some terminals do not know their own.
        width: process.stdout.columns || Number.POSITIVE_INFINITY,
        // Obeys NO_COLOR and its like.
        bold: (line) => styleText('bold', line, { stream: process.stdout }),
      }
    : undefined,
  clock: system.clock,
  readStandardInput: () => text(process.stdin),
  longRun: {
    standardInput: () => process.stdin,
    showProgress: process.stderr.isTTY ? showProgress : undefined,
    interruption: () => {
      const interrupted = new AbortController()
      void nextStopSignal().then(() => interrupted.abort())
      return interrupted.signal
    },
  },
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),

  apiUrl: (flags) => readApiUrl(sourcesWith(flags)),

  apiTarget: (flags, readStandardInput) => readApiTarget(sourcesWith(flags), readStandardInput),

  async open(flags) {
    const config = readConfig('tool', flags)
    mayLinger = config.redisUrl !== undefined
    const log = { warn: (about: object) => host.err(JSON.stringify(about)) }
    return openOperations(config, { ...system, log })
  },

  async run(mode, flags) {
    const stopped = nextStopSignal()
    if (cluster.isWorker) return runWorker(() => readConfig(mode, flags), stopped)
    const config = readConfig(mode, flags)
    const log = createLog(config.logLevel)
    // One that an earlier run left would send whoever waits for it to the wrong ports.
    if (config.readyFile !== undefined) rmSync(config.readyFile, { force: true })
    const running =
      mode === 'dev'
        ? await startDev(config, { ...system, log })
        : await startServe(config, { ...system, log })
    try {
      if (config.readyFile !== undefined) writeReadyFile(config.readyFile, running.ready)
      host.out(running.banner)
      log.info({ event: 'stopping', signal: await stopped })
    } finally {
      await running.close()
    }
    return 0
  },
}

async function startServe(config: Config, deps: Parameters<typeof startGateway>[2]) {
  const upstreams = { http: config.upstreamHttp, smtp: config.upstreamSmtp }
  const serving =
    config.workers === 1
      ? await startGateway(config, upstreams, deps)
      : await startPrimaryWithSignal(config, deps)
  const { http, https, smtp, smtps, admin } = serving.addresses
  const workers = 'pids' in serving ? { workers: serving.pids() } : {}
  const ready = { http, https, smtp, smtps, admin, pid: process.pid, ...workers }
  return {
    ready,
    // One line, JSON like all others that `serve` writes.
    banner: JSON.stringify({ event: 'listening', ...ready }),
    close: serving.close,
  }
}

/** SIGHUP ends a single process, as it ends any program whose terminal is closed; only a primary renews its workers. */
async function startPrimaryWithSignal(config: Config, deps: Parameters<typeof startPrimary>[1]) {
  let primary: Primary | undefined
  process.on('SIGHUP', async () => {
    try {
      // Workers that are only starting read everything anew as it is.
      await primary?.restart()
    } catch (error) {
      deps.log.error({ event: 'restart_failed', error: String(error) })
    }
  })
  primary = await startPrimary(config, deps)
  return primary
}

/** A worker ends when the primary says so, or is gone itself; Ctrl-C reaches both at once. */
async function runWorker(readSettings: () => Config, stopped: Promise<unknown>): Promise<number> {
  const told = Promise.withResolvers<void>()
  const gone = process.connected ? once(process, 'disconnect') : Promise.resolve()
  // Else Node ends the process where it stands when the primary is gone, with what is in flight.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true
  process.on('SIGHUP', () => {})
  const send = (message: FromWorker) => {
    if (process.connected) process.send?.(message)
  }
  try {
    const config = readSettings()
    const worker = await startWorker(config, {
      ...system,
      log: createLog(config.logLevel),
      link: { send, gone, onMessage: (listener) => process.on('message', listener) },
      onFinish: () => told.resolve(),
    })
    await Promise.race([stopped, told.promise, gone])
    await worker.close()
    return 0
  } catch (error) {
    send({ type: 'failed', reason: error instanceof Error ? error.message : String(error) })
    throw error
  } finally {
    if (process.connected) process.disconnect?.()
  }
}

function sourcesWith(flags: SettingValues): Sources {
  const file = flags[configFileVariable] ?? process.env[configFileVariable]
  return [flags, process.env, file ? readSettingsFile(file) : {}]
}

function readConfig(mode: Mode, flags: SettingValues): Config {
  const result = parseConfig(mode, sourcesWith(flags))
  if (!result.ok) {
    throw new Error(`the settings do not work:\n${result.problems.map((p) => `  ${p}`).join('\n')}`)
  }
  if (mode !== 'tool' && cluster.isPrimary) {
    for (const warning of result.warnings) host.err(`postern: ${warning}`)
  }
  return result.config
}

/** The second signal ends the process at once, as people expect of Ctrl-C. */
function nextStopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (asked) endAtOnce()
        asked = true
        resolve(signal)
      })
    }
  })
}

/** ECMA-48: back to the first column, and erase to the end of the line. */
function showProgress(line: string) {
  process.stderr.write(`\r\x1b[K${line}`)
}

/** Workers would else go on to finish what is in flight. */
function endAtOnce(): never {
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
  process.exit(1)
}

/** In a container the user often has a number and no name. */
function operatorName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

// A reader that has left, as `head` does, has what it wanted; a gate does not stop for it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return
  host.err(`postern: the answer could not be written: ${error.message}`)
  process.once('exit', () => {
    process.exitCode = 1
  })
})
process.stderr.on('error', () => {})

process.exitCode = await runCli(process.argv.slice(2), host)
if (mayLinger) {
  // What was written is on its way before the process is ended.
  const written = [process.stdout, process.stderr].map(
    (stream) => new Promise((resolve) => stream.write('', resolve)),
  )
  await Promise.all(written)
  process.exit()
}
