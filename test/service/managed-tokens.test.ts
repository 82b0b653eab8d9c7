import { expect, test } from 'vitest'
import type { Caller } from '../../src/service/callers.ts'
import { createManagedTokens } from '../../src/service/managed-tokens.ts'

const caller: Caller = {
  tokenId: 1,
  accountId: 1,
  name: 'Boss',
  origin: 'test',
  grants: [{ resource: { type: 'account', id: 1 }, level: 'admin' }],
}

test('a token that ends and is swept meanwhile is gone, which is answered when it holds everywhere', async () => {
  const confirmed = { epoch: 7, propagation: 'confirmed' } as const
  const tokens = createManagedTokens({
    registry: {
      getToken: async () => ({ id: 2, accountId: 1, grants: [] }),
      readNodes: async () => ({ moment: { era: 'e', epoch: 7 } }),
    },
    revoke: {
      deleteToken: async () => ({ done: false, refusal: { reason: 'no-such-token' } }),
    },
    confirm: async (epoch: number) => ({ ...confirmed, epoch }),
  } as never)
  expect(await tokens.remove(caller, 2)).toEqual({
    done: true,
    value: { deleted: false },
    receipt: confirmed,
  })
})
