import type { HttpFloor } from './http-floor.ts'
import type { SmtpFloor } from './smtp-floor.ts'
import type { SmtpRelayFloor } from './smtp-relay-floor.ts'
import type { Subject } from './subject.ts'

const nodeVersion = () => `Node ${process.version}`

export const httpFloor: Subject = {
  name: 'floor: node:http + undici',
  kind: 'floor',
  about:
    'reads the body, forwards it by undici Pool.dispatch, answers in one piece; no checks, no log',
  checks: { token: false, sender: false },
  version: nodeVersion,
  async start({ crew, httpUpstream }) {
    const agent = crew.agent<HttpFloor>(new URL('http-floor.ts', import.meta.url))
    return {
      port: await agent.call('listen', { upstream: httpUpstream }),
      pids: [agent.pid],
      takeWorstPauses: () => agent.call('takeWorstPauses', undefined),
    }
  },
}

export const smtpFloor: Subject = {
  name: 'floor: smtp-server',
  kind: 'floor',
  about:
    'smtp-server takes any password, greets at once and drains the message; no checks, no relay, no log',
  checks: { token: false, sender: false },
  version: nodeVersion,
  async start({ crew }) {
    const agent = crew.agent<SmtpFloor>(new URL('smtp-floor.ts', import.meta.url))
    return {
      port: await agent.call('listen', undefined),
      pids: [agent.pid],
      takeDrained: () => agent.call('takeDrained', undefined),
    }
  },
}

function createRelayFloor(name: string, by: 'sockets' | 'nodemailer', about: string): Subject {
  return {
    name,
    kind: 'floor',
    about,
    checks: { token: false, sender: false },
    version: nodeVersion,
    async start({ crew, smtpUpstream }) {
      const agent = crew.agent<SmtpRelayFloor>(new URL('smtp-relay-floor.ts', import.meta.url))
      return {
        port: await agent.call('listen', { upstream: smtpUpstream, by }),
        pids: [agent.pid],
        takeWorstPauses: () => agent.call('takeWorstPauses', undefined),
      }
    },
  }
}

export const smtpRelayFloor = createRelayFloor(
  'floor: smtp-server + relay',
  'sockets',
  'smtp-server takes any password, greets at once and hands the message on over kept raw sockets, envelope and DATA in one write; no checks, no log',
)

export const smtpNodemailerFloor = createRelayFloor(
  'floor: smtp-server + nodemailer',
  'nodemailer',
  'the same over the pool of nodemailer; no checks, no log',
)
