/** Options that several commands take. */

export const accountOption = {
  account: { type: 'string', value: 'ID', about: 'the account; not needed if there is only one' },
} as const

export const limitOption = {
  limit: { type: 'string', value: 'NUMBER', about: 'how many to show at most' },
} as const

export const domainFilter = {
  domain: {
    type: 'string',
    multiple: true,
    value: 'NAME',
    about: 'only what is about this domain; may be repeated',
  },
} as const
