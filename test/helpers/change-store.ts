import { openStore } from '../../src/store/store.ts'
import { mintedFor } from './minted.ts'

/** A process that changes a store for as long as it is let, and reports each change when it is done: to be killed. */

const [file] = process.argv.slice(2)
const actor = { name: 'Test', origin: 'test' }
const at = Date.UTC(2026, 10, 24, 12)

const store = await openStore(`sqlite:${file}`)
await store.migrate()
const account = await store.createAccount({ name: 'Acme', actor, at })
if (!account.done) throw new Error('no account')
const accountId = account.value.id

for (let round = 0; ; round++) {
  const name = `d${round}.example`
  const token = mintedFor(name)
  const added = await store.addDomain({ accountId, name, state: 'verified', token, actor, at })
  if (!added.done) throw new Error(added.refusal.reason)
  process.stdout.write(`added ${name}\n`)
  const tokenId = added.value.token.id
  const windowEndsAt = at + 1
  await store.resetToken({ tokenId, windowEndsAt, token: mintedFor(`${name}+`), actor, at })
  process.stdout.write(`reset ${tokenId}\n`)
  await store.deleteToken({ tokenId, actor, at })
  process.stdout.write(`deleted ${tokenId}\n`)
}
