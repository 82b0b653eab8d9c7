import { Agent } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { createTokenCheck } from '../shared/token-check.js'

/** A token check as middleware, and the body streamed to the upstream, unread. */

const [port, upstream, tokens] = process.argv.slice(2)
const isAlive = createTokenCheck(tokens)
const app = express()

app.disable('x-powered-by')
app.use((request, response, next) => {
  if (isAlive(request.headers.authorization)) next()
  else response.status(401).end()
})
app.use(
  createProxyMiddleware({
    target: `http://127.0.0.1:${upstream}`,
    agent: new Agent({ keepAlive: true, maxSockets: 256 }),
    on: { proxyReq: (request) => request.removeHeader('authorization') },
  }),
)
const server = app.listen(Number(port), '127.0.0.1')
server.keepAliveTimeout = 65_000
