import { afterAll, beforeAll, describe } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { storeContract } from './store.contract.ts'

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

describe('PostgreSQL', () => {
  storeContract(async () => openStore(await postgres.createDatabase()))
})
