import { createServer } from 'node:http'
import { createTokenCheck } from './token-check.js'

/** What nginx (auth_request) and Caddy (forward_auth) ask: 204 for a live token, 401 else. */

const [port, tokens] = process.argv.slice(2)
const isAlive = createTokenCheck(tokens)

createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
  response.writeHead(isAlive(request.headers.authorization) ? 204 : 401).end()
}).listen(Number(port), '127.0.0.1', 1_024)
