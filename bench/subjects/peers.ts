import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { freePort } from '../../test/helpers/free-port.ts'
import { startRedis } from '../../test/helpers/redis.ts'
import { isOnPath } from '../../test/helpers/require-program.ts'
import type { Crew } from '../processes/crew.ts'
import type { Fixture, Sender } from './fixture.ts'
import type { Subject, SubjectSetting } from './subject.ts'

/** Other programs, each with its configuration in a folder of `bench/peers/` as somebody who knows it would write it. */

const peersFolder = resolve('bench/peers')
const howToInstall = 'bench/peers/install.sh installs it'
const nginxModules = '/usr/lib/nginx/modules'

/** Copies a peer's files, with `{{NAME}}` replaced in each. */
function configure(peer: string, folder: string, values: Record<string, string | number>) {
  cpSync(join(peersFolder, peer), folder, { recursive: true })
  for (const file of globSync('**/*', { cwd: folder, withFileTypes: true })) {
    if (!file.isFile() || /\.(?:log|db)$/.test(file.name)) continue
    const path = join(file.parentPath, file.name)
    const text = readFileSync(path, 'utf8')
    writeFileSync(
      path,
      text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
        const value = values[name]
        if (value === undefined) throw new Error(`${path}: nobody says what ${name} is`)
        return String(value)
      }),
    )
  }
}

function firstLine(command: string, ...args: string[]): string {
  // nginx writes its version to standard error.
  const text = execFileSync('sh', ['-c', '"$0" "$@" 2>&1', command, ...args], { encoding: 'utf8' })
  return text.trim().split('\n')[0] ?? ''
}

function missingProgram(...names: string[]): string | undefined {
  const missing = names.filter((name) => !isOnPath(name) && !existsSync(name))
  return missing.length === 0 ? undefined : `${missing.join(', ')} not found; ${howToInstall}`
}

function packageFile(name: string): string {
  return join(peersFolder, 'node_modules', name, 'package.json')
}

function missingPackage(...names: string[]): string | undefined {
  const missing = names.filter((name) => !existsSync(packageFile(name)))
  return missing.length === 0 ? undefined : `${missing.join(', ')} not found; ${howToInstall}`
}

function packageVersion(...names: string[]): string {
  const versionOf = (name: string) => JSON.parse(readFileSync(packageFile(name), 'utf8')).version
  return names.map((name) => `${basename(name)} ${versionOf(name)}`).join(', ')
}

/** SHA-256 in plain base64 of each token, which every peer can make. */
function digestOf({ token }: Sender): string {
  return hash('sha256', token, 'base64')
}

function writeDigests(folder: string, { senders }: Fixture): string {
  const file = join(folder, 'tokens.json')
  writeFileSync(file, JSON.stringify(senders.map(digestOf)))
  return file
}

/** One of the programs in `bench/peers/` that are written in JavaScript. */
async function startNode(crew: Crew, name: string, file: string, args: readonly string[]) {
  const port = await freePort()
  const program = crew.program({
    command: process.execPath,
    args: [join(peersFolder, file), String(port), ...args],
    folder: crew.folder(name),
    env: { NODE_ENV: 'production' },
  })
  await program.untilListening(port)
  return { port, pids: [program.pid] }
}

function startAuthService({ crew, fixture }: SubjectSetting, name: string) {
  const tokens = writeDigests(crew.folder(name), fixture)
  return startNode(crew, `${name} auth service`, 'shared/auth-service.js', [tokens])
}

function nginxVersion(): string {
  return firstLine('nginx', '-v').replace('nginx version: ', '')
}

async function startNginx(
  { crew, httpUpstream }: SubjectSetting,
  peer: string,
  values: Record<string, string | number> = {},
) {
  const folder = crew.folder(peer)
  // Its worker gives up root's rights, and keeps large bodies in files.
  chmodSync(folder, 0o777)
  const port = await freePort()
  configure(peer, folder, {
    ...{ FOLDER: folder, SOURCE: folder, PORT: port, HTTP_UPSTREAM: httpUpstream },
    ...values,
  })
  const config = join(folder, 'nginx.conf')
  const program = crew.program({ command: 'nginx', args: ['-p', folder, '-c', config], folder })
  await program.untilListening(port)
  return { port, pids: [program.pid] }
}

const nginxProxy: Subject = {
  name: 'nginx proxy_pass',
  kind: 'peer',
  about: 'forwards, checks nothing: what a proxy in C costs',
  checks: { token: false, sender: false },
  missing: () => missingProgram('nginx'),
  version: nginxVersion,
  start: (setting) => startNginx(setting, 'nginx-proxy'),
}

const nginxLua: Subject = {
  name: 'nginx + Lua',
  kind: 'peer',
  about:
    'SHA-256, shared dictionary before Redis, cjson for the sender; a deleted token is believed for up to five seconds',
  checks: { token: true, sender: true },
  missing: () =>
    missingProgram(
      ...['nginx', `${nginxModules}/ngx_http_lua_module.so`],
      ...['/usr/share/lua/5.1/nginx/redis.lua', '/usr/share/lua/5.1/cjson'],
    ),
  version: nginxVersion,
  async start(setting) {
    const { crew, fixture } = setting
    const redis = await startRedis()
    crew.atEnd(() => redis.stop())
    const client = redis.client()
    const kept = fixture.senders.flatMap((sender) => [digestOf(sender), ` ${sender.domain} `])
    await client.mset(...kept)
    client.disconnect()
    const { port, password } = new URL(redis.url)
    // What Redis spends is not counted: with the dictionary before it that is next to nothing.
    return startNginx(setting, 'nginx-lua', { REDIS_PORT: port, REDIS_PASSWORD: password })
  },
}

const nginxAuthRequest: Subject = {
  name: 'nginx auth_request',
  kind: 'peer',
  about: 'asks a service on node:http about each token; the body is not looked into',
  checks: { token: true, sender: false },
  missing: () => missingProgram('nginx'),
  version: nginxVersion,
  async start(setting) {
    const service = await startAuthService(setting, 'nginx-auth-request')
    const nginx = await startNginx(setting, 'nginx-auth-request', { AUTH_PORT: service.port })
    return { port: nginx.port, pids: [...nginx.pids, ...service.pids] }
  },
}

const caddy: Subject = {
  name: 'Caddy forward_auth',
  kind: 'peer',
  about: 'asks the same service about each token; the body is not looked into',
  checks: { token: true, sender: false },
  missing: () => missingProgram('caddy'),
  version: () => `Caddy ${firstLine('caddy', 'version')}`,
  async start(setting) {
    const { crew, httpUpstream } = setting
    const service = await startAuthService(setting, 'caddy')
    const folder = crew.folder('caddy')
    const port = await freePort()
    configure('caddy', folder, {
      ...{ FOLDER: folder, PORT: port, HTTP_UPSTREAM: httpUpstream, AUTH_PORT: service.port },
    })
    const config = join(folder, 'Caddyfile')
    const program = crew.program({
      command: 'caddy',
      args: ['run', '--config', config, '--adapter', 'caddyfile'],
      folder,
      // As the others it has one core.
      env: { GOMAXPROCS: '1', XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    })
    await program.untilListening(port)
    return { port, pids: [program.pid, ...service.pids] }
  },
}

const fastify: Subject = {
  name: 'Fastify + reply-from',
  kind: 'peer',
  about: 'digests in memory, compared in a hook; the body is streamed on, unread',
  checks: { token: true, sender: false },
  missing: () => missingPackage('fastify', '@fastify/reply-from'),
  version: () => packageVersion('fastify', '@fastify/reply-from'),
  start: ({ crew, fixture, httpUpstream }) =>
    startNode(crew, 'fastify', 'fastify/server.js', [
      String(httpUpstream),
      writeDigests(crew.folder('fastify'), fixture),
    ]),
}

const express: Subject = {
  name: 'Express + http-proxy-middleware',
  kind: 'peer',
  about: 'digests in memory, compared in middleware; the body is streamed on, unread',
  checks: { token: true, sender: false },
  missing: () => missingPackage('express', 'http-proxy-middleware'),
  version: () => packageVersion('express', 'http-proxy-middleware'),
  start: ({ crew, fixture, httpUpstream }) =>
    startNode(crew, 'express', 'express/server.js', [
      String(httpUpstream),
      writeDigests(crew.folder('express'), fixture),
    ]),
}

const hono: Subject = {
  name: 'Hono + hono/proxy',
  kind: 'peer',
  about:
    "digests in memory, compared in middleware; forwarded by Hono's own helper, which uses fetch",
  checks: { token: true, sender: false },
  missing: () => missingPackage('hono', '@hono/node-server'),
  version: () => packageVersion('hono', '@hono/node-server'),
  start: ({ crew, fixture, httpUpstream }) =>
    startNode(crew, 'hono', 'hono/server.js', [
      String(httpUpstream),
      writeDigests(crew.folder('hono'), fixture),
    ]),
}

/** Named after what it may send as, which is what Haraka and Postfix compare the envelope sender with. */
function userOf({ domain }: Sender, index: number): string {
  return `user-${index}@${domain}`
}

const haraka: Subject = {
  name: 'Haraka',
  kind: 'peer',
  about:
    'AUTH from a file in memory, envelope sender held against the login, smtp_forward to the relay',
  checks: { token: true, sender: 'envelope' },
  missing: () => missingPackage('Haraka'),
  version: () => packageVersion('Haraka'),
  async start({ crew, fixture, smtpUpstream }) {
    const folder = crew.folder('haraka')
    const port = await freePort()
    const users = fixture.senders.map((sender, i) => `${userOf(sender, i)}=${sender.token}`)
    configure('haraka', folder, {
      ...{ PORT: port, SMTP_UPSTREAM: smtpUpstream, USERS: users.join('\n') },
    })
    const program = crew.program({
      command: process.execPath,
      args: [join(peersFolder, 'node_modules/Haraka/bin/haraka'), '-c', folder],
      folder,
    })
    await program.untilListening(port)
    return { port, pids: [program.pid], userOf }
  },
}

const postfix: Subject = {
  name: 'Postfix + Dovecot',
  kind: 'peer',
  about: 'AUTH by Dovecot, envelope sender held against the login, before-queue proxy to the relay',
  checks: { token: true, sender: 'envelope' },
  missing: () =>
    process.getuid?.() === 0
      ? missingProgram('postfix', 'dovecot')
      : 'Postfix starts only as root, from which it then steps down',
  version: () =>
    `Postfix ${firstLine('postconf', '-dh', 'mail_version')}, Dovecot ${firstLine('dovecot', '--version')}`,
  async start({ crew, fixture, smtpUpstream }) {
    const folder = crew.folder('postfix')
    const port = await freePort()
    configure('postfix', folder, { FOLDER: folder, PORT: port, SMTP_UPSTREAM: smtpUpstream })
    for (const name of ['data', 'queue', 'queue/private', 'dovecot']) {
      mkdirSync(join(folder, name), { recursive: true })
    }
    execFileSync('chown', ['postfix', join(folder, 'data'), join(folder, 'queue/private')])
    const lines = (line: (sender: Sender, index: number) => string) =>
      `${fixture.senders.map(line).join('\n')}\n`
    writeFileSync(
      join(folder, 'users'),
      lines((sender, i) => `${userOf(sender, i)}:{SHA256}${digestOf(sender)}::::::`),
    )
    const logins = Map.groupBy(fixture.senders.entries(), ([, { domain }]) => domain)
    writeFileSync(
      join(folder, 'logins'),
      [...logins]
        .map(([domain, all]) => `@${domain} ${all.map(([i, one]) => userOf(one, i)).join(',')}\n`)
        .join(''),
    )
    const dovecot = crew.program({
      command: 'dovecot',
      args: ['-F', '-c', join(folder, 'dovecot.conf')],
      folder: crew.folder('dovecot'),
    })
    await dovecot.until(() => existsSync(join(folder, 'queue/private/auth')) || undefined)
    execFileSync('postfix', ['-c', folder, 'check'], { stdio: 'pipe' })
    const program = crew.program({
      // Not by `start-fg`: that makes a session of its own, which would outlive the crew.
      command: join(firstLine('postconf', '-dh', 'daemon_directory'), 'master'),
      args: ['-c', folder, '-d'],
      folder: crew.folder('postfix master'),
    })
    await program.untilListening(port)
    return { port, pids: [program.pid, dovecot.pid], userOf }
  },
}

export const httpPeers: readonly Subject[] = [
  nginxProxy,
  nginxLua,
  nginxAuthRequest,
  caddy,
  fastify,
  express,
  hono,
]
export const smtpPeers: readonly Subject[] = [haraka, postfix]
export { fastify, nginxLua, nginxProxy }
