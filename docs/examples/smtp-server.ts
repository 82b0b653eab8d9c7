/** Puts the check into an smtp-server of your own. */
import { openGate } from 'postern'
import { checkSubmission } from 'postern/smtp'
import { SMTPServer } from 'smtp-server'

const gate = await openGate({ databaseUrl: process.env.DATABASE ?? 'sqlite:./data/postern.db' })
const check = checkSubmission({ authenticator: gate.authenticator }, async (message) => {
  let length = 0
  for await (const piece of message.bytes) length += piece.length
  console.log(`token ${message.principal.tokenId} sent ${length} bytes`)
  return 'Taken'
})

// allowInsecureAuth is for this example on one machine: give it `key` and `cert` instead.
const server = new SMTPServer({ ...check, allowInsecureAuth: true, disabledCommands: ['STARTTLS'] })
server.listen(Number(process.env.PORT ?? 2525), '127.0.0.1', () => {
  console.log(`listening on ${(server.server.address() as { port: number }).port}`)
})
process.once('SIGTERM', () => server.close(() => gate.close()))
