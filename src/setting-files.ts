import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { type Config, configFileVariable } from './config.ts'
import { readSealKey } from './seal-key.ts'
import { readPair } from './tls-files.ts'

/** The files that settings name. Each reader throws an error that begins with its setting's name. */

/**
 * The file of `--config`: lines of `POSTERN_NAME=value`. What Node's parser would skip without a word is an error here: a
 * setting that has no effect is worse than none.
 */
export function readSettingsFile(file: string): Readonly<Record<string, string | undefined>> {
  return naming(`${file}, the file of --config or ${configFileVariable},`, () => {
    const text = readFileSync(file, 'utf8').replace(/^\ufeff/, '')
    const bad = text
      .split(/\r?\n/)
      .findIndex((line) => !/^\s*(#.*)?$/.test(line) && !/^\s*POSTERN_[A-Z0-9_]+\s*=/.test(line))
    // The line is not shown: it may hold a secret.
    if (bad >= 0) throw new Error(`line ${bad + 1} is not POSTERN_NAME=value`)
    return parseEnv(text)
  })
}

/** They describe one connection, or the length of one message, which an operator cannot know. */
const saidByTheGate = new Set([
  ...['connection', 'content-length', 'expect', 'keep-alive', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
])

/** `Name: value` lines; empty ones and those that start with # are skipped. */
export function readHeadersFile(file: string | undefined): [string, string][] {
  return naming('POSTERN_UPSTREAM_HTTP_HEADERS_FILE', () =>
    (readOptional(file) ?? '')
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([\x20-\x7e\t]+)$/.exec(line)
        // The line is not shown: it may hold a credential.
        if (match === null) throw new Error(`${file} must hold lines of "Name: value"`)
        const [, name = '', value = ''] = match
        if (saidByTheGate.has(name.toLowerCase())) {
          throw new Error(`${file} must not set ${name}: only the gate can`)
        }
        return [name, value]
      }),
  )
}

/** PEM. Node takes a text without any certificate for "trust nobody", and without a word. */
function readCa(variable: string, file: string | undefined): string | undefined {
  return naming(variable, () => {
    const pem = readOptional(file)
    if (pem !== undefined) new X509Certificate(pem)
    return pem
  })
}

export function readUpstreamCa(file: string | undefined): string | undefined {
  return readCa('POSTERN_UPSTREAM_CA', file)
}

export function readApiCa(file: string | undefined): string | undefined {
  return readCa('POSTERN_CA', file)
}

export function readRedisCa(file: string | undefined): string | undefined {
  return readCa('POSTERN_REDIS_CA', file)
}

/** Opens every file that a setting names, so that what is wrong with it is said with all other problems. */
export function fileProblems(config: Config): string[] {
  const problems: string[] = []
  function attempt(open: () => unknown) {
    try {
      open()
    } catch (error) {
      problems.push(reason(error))
    }
  }
  attempt(() => readHeadersFile(config.upstreamHttpHeadersFile))
  attempt(() => readUpstreamCa(config.upstreamCa))
  attempt(() => readRedisCa(config.redisCa))
  for (const [names, cert, key] of [
    ['POSTERN_TLS_CERT and POSTERN_TLS_KEY', config.tlsCert, config.tlsKey],
    ['POSTERN_ADMIN_TLS_CERT and POSTERN_ADMIN_TLS_KEY', config.adminTlsCert, config.adminTlsKey],
  ] as const) {
    if (cert !== undefined && key !== undefined) {
      attempt(() => naming(names, () => readPair(cert, key)))
    }
  }
  const { databaseUrl, sealKeyFile } = config
  // On SQLite a missing one is made on first use.
  if (existsSync(sealKeyFile ?? '') || databaseUrl?.startsWith('postgres')) {
    attempt(() => readSealKey(sealKeyFile))
  }
  return problems
}

function naming<T>(variables: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error(`${variables} cannot be used: ${reason(error)}`, { cause: error })
  }
}

function readOptional(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8')
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
