import replyFrom from '@fastify/reply-from'
import fastify from 'fastify'
import { createTokenCheck } from '../shared/token-check.js'

/** A token check in a hook, and the body streamed to the upstream, unread. */

const [port, upstream, tokens] = process.argv.slice(2)
const isAlive = createTokenCheck(tokens)
const app = fastify({ logger: false, keepAliveTimeout: 65_000, bodyLimit: 64 * 1024 * 1024 })

app.register(replyFrom, {
  base: `http://127.0.0.1:${upstream}`,
  undici: { connections: 256, pipelining: 1 },
})
// Bodies are not parsed, so that reply-from hands on the stream.
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
app.addHook('onRequest', async (request, reply) => {
  if (!isAlive(request.headers.authorization)) return reply.code(401).send()
})
app.all('*', (request, reply) =>
  reply.from(request.url, {
    rewriteRequestHeaders: (_request, { authorization: _, ...headers }) => headers,
  }),
)
await app.listen({ port: Number(port), host: '127.0.0.1' })
