import type { HttpFloor } from './http-floor.ts'
import type { SmtpFloor } from './smtp-floor.ts'
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
    return { port: await agent.call('listen', { upstream: httpUpstream }), pids: [agent.pid] }
  },
}

export const smtpFloor: Subject = {
  name: 'floor: smtp-server',
  kind: 'floor',
  about: 'smtp-server takes any password and drains the message; no checks, no relay, no log',
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
