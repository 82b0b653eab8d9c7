import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { apiContract } from './api.contract.ts'
import { domainProofContract } from './domain-proof.contract.ts'
import { fleetContract } from './fleet.contract.ts'
import { importsContract } from './imports.contract.ts'
import { storeContract } from './store.contract.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-sqlite-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('SQLite', () => {
  storeContract(() => openStore(`sqlite:${join(folder, 'contract.db')}`))
  apiContract(() => openStore(`sqlite:${join(folder, 'api.db')}`))
  domainProofContract(async () => {
    const url = `sqlite:${join(folder, 'domain-proof.db')}`
    return { store: await openStore(url), other: await openStore(url) }
  })
  importsContract(() => openStore(`sqlite:${join(folder, 'imports.db')}`))
  fleetContract(async () => {
    const file = join(folder, 'fleet.db')
    return {
      store: await openStore(`sqlite:${file}`),
      execute(statement) {
        const database = new DatabaseSync(file)
        database.exec(statement)
        database.close()
      },
    }
  })
})
