/** Puts the check into a Hono application of your own. */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { openGate } from 'postern'
import { checkSender, type GateEnv } from 'postern/middleware'

const gate = await openGate({ databaseUrl: process.env.DATABASE ?? 'sqlite:./data/postern.db' })
const app = new Hono<GateEnv>()

app.post('/api/send', checkSender({ authenticator: gate.authenticator }), async (c) => {
  const message = await c.req.json()
  return c.json({ success: true, token: c.var.principal.tokenId, subject: message.subject })
})

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`listening on ${port}`)
})
process.once('SIGTERM', () => server.close(() => gate.close()))
