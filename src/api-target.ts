import { readFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import type { ApiTarget } from './cli/api-client.ts'
import { CommandFailed, UsageError } from './cli/command.ts'
import { apiSettings, type Sources } from './config.ts'
import { parseDuration } from './core/duration.ts'
import { readApiCa } from './setting-files.ts'
import { publicUrl } from './setting-parsers.ts'

/** Where the gate is whose management API the command line is to use; undefined where none is named. */
export function readApiUrl(sources: Sources): string | undefined {
  const given = settingText(apiSettings.url, sources)
  if (given !== undefined && given !== 'none') return readUrl(given)
  refuseLoneFlags(sources)
  return undefined
}

/**
 * The same with all that it takes to speak to it. A token on the command line can be seen by everybody on the machine: a
 * file, or standard input, is the better place.
 */
export async function readApiTarget(
  sources: Sources,
  readStandardInput: () => Promise<string>,
): Promise<ApiTarget | undefined> {
  const url = readApiUrl(sources)
  if (url === undefined) return undefined
  const { ca, timeout } = apiSettings
  return {
    url,
    token: await readToken(sources, readStandardInput),
    ca: readCertificates(settingText(ca, sources)),
    timeoutMs: readTimeout(settingText(timeout, sources) ?? timeout.default),
  }
}

function settingText({ variable }: { readonly variable: string }, sources: Sources) {
  return sources.map((source) => source[variable]).find((text) => text)
}

/** In the environment they may be left over; on the command line they were meant. */
function refuseLoneFlags([flags = {}]: Sources) {
  const { url, ...others } = apiSettings
  const lone = Object.values(others).find(({ variable }) => flags[variable] !== undefined)
  if (lone !== undefined && flags[url.variable] === undefined) {
    throw new UsageError(`${lone.variable} is for the management API of a gate: give --url too`)
  }
}

function readUrl(text: string): string {
  const { variable } = apiSettings.url
  const url = named(variable, () => new URL(publicUrl('http:', 'https:')(text)))
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new UsageError(`${variable} must be an address and nothing more: no user, no query`)
  }
  return url.href.replace(/\/+$/, '')
}

/** From the strongest source that has one. */
async function readToken(sources: Sources, readStandardInput: () => Promise<string>) {
  const { token, tokenFile } = apiSettings
  for (const source of sources) {
    const [text, file] = [source[token.variable], source[tokenFile.variable]]
    if (text && file) {
      throw new UsageError(`give either ${token.variable} or ${tokenFile.variable}, not both`)
    }
    if (file) {
      const content = file === '-' ? await readStandardInput() : readTokenFile(file)
      return checkToken(content.trim(), tokenFile.variable)
    }
    if (text) return checkToken(text, token.variable)
  }
  throw new UsageError(
    `the management API wants a token: give --token-file FILE, or "-" for standard input, or set ${token.variable}`,
  )
}

function readTokenFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailed(`${apiSettings.tokenFile.variable} cannot be used: ${reason}`)
  }
}

/** It becomes a header field, in which anything else would be a fault of a library, and shown with it. */
function checkToken(token: string, variable: string): string {
  if (/^[\x21-\x7e]{1,1024}$/.test(token)) return token
  throw new UsageError(`${variable} must hold one token: printable characters, and no spaces`)
}

/** Besides those whom Node trusts by itself and by NODE_EXTRA_CA_CERTS. */
function readCertificates(file: string | undefined): readonly string[] | undefined {
  const own = readApiCa(file)
  return own === undefined ? undefined : [...getCACertificates('default'), own]
}

function readTimeout(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined || ms === 0) {
    throw new UsageError(
      `${apiSettings.timeout.variable} must be a duration such as 30s, not "${text}"`,
    )
  }
  return ms
}

function named<T>(variable: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new UsageError(`${variable} ${error instanceof Error ? error.message : String(error)}`)
  }
}
