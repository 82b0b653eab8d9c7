import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { proxy } from 'hono/proxy'
import { createTokenCheck } from '../shared/token-check.js'

/** A token check in a middleware, and Hono's own proxy helper, which is made of fetch. */

const [port, upstream, tokens] = process.argv.slice(2)
const isAlive = createTokenCheck(tokens)
const app = new Hono()

app.use(async (c, next) => {
  if (!isAlive(c.req.header('authorization'))) return c.body(null, 401)
  await next()
})
app.all('*', (c) => {
  const headers = { ...c.req.header(), authorization: undefined }
  return proxy(`http://127.0.0.1:${upstream}${c.req.path}`, { raw: c.req.raw, headers })
})
serve({
  fetch: app.fetch,
  hostname: '127.0.0.1',
  port: Number(port),
  serverOptions: { keepAliveTimeout: 65_000 },
})
