/** Asks the gate from a program of your own: may this token send as this domain? */
import { normaliseDomain, openGate } from 'postern'

const [token = '', domain = ''] = process.argv.slice(2)
const gate = await openGate({ databaseUrl: process.env.DATABASE ?? 'sqlite:./data/postern.db' })

const presented = gate.authenticator.present(token)
const name = normaliseDomain(domain)
if (presented === undefined || name === undefined) {
  console.log('refused: no token, or no domain')
} else {
  const decision = await gate.authenticator.authorise(presented, [name])
  console.log(decision.allowed ? `token ${decision.principal.tokenId}` : decision.reason)
}
await gate.close()
