import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Debian's package for each program that the tests run. */
const packages = {
  swaks: 'swaks',
  curl: 'curl',
  openssl: 'openssl',
  // The program alone: the other package would start it, and take over the machine's own DNS.
  dnsmasq: 'dnsmasq-base',
  bash: 'bash',
  zsh: 'zsh',
  fish: 'fish',
} as const

/** Makes sure that a program is there: installed where that is possible, else a sentence that says what to install. */
export function requireProgram(name: keyof typeof packages): void {
  if (!isOnPath(name)) installPackage(packages[name])
}

/** Installs a package on Debian as root; anywhere else says what to install. */
export function installPackage(name: string): void {
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) {
    throw new Error(`the tests need more than is here (Debian: apt-get install ${name})`)
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const run = (...args: string[]) => execFileSync('apt-get', args, { stdio: 'ignore', env })
  run('update')
  run('install', '-y', '--no-install-recommends', name)
}

export function isOnPath(name: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.some((folder) => existsSync(join(folder, name)))
}
