import { describe, expect, test } from 'vitest'
import { createRequestFields, type Stamp } from '../../middleware/headers.ts'

describe.each(['a\r\nX: y', 'a\nb', 'a\rb', 'a\0b', 'a\x7fb', 'a\u0100b'])(
  'the value %j',
  (value) => {
    const stamp: Stamp = {
      principal: { tokenId: 7, accountId: 3, standing: 'active', endsAt: null },
      assertion: 'a.b.c',
      requestId: '1',
      remoteAddress: '192.0.2.1',
      protocol: 'http',
      host: 'api.test',
      contentType: undefined,
    }

    test('is never written as a field of the client', () => {
      expect(() => createRequestFields([])(['X', value], stamp)).toThrow(/of X /)
    })

    test.each(['remoteAddress', 'host', 'contentType'])('is never written as its %s', (what) => {
      expect(() => createRequestFields([])([], { ...stamp, [what]: value })).toThrow('one line')
    })

    test.each(['X', 'Host'])("is never written as the operator's %s", (name) => {
      expect(() => createRequestFields([[name, value]])).toThrow(`of ${name} `)
    })
  },
)
