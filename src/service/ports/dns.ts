/** What the DNS says of the TXT records at a name; none when there is no such name, or it has no such records. */
export type TxtAnswer =
  | { readonly known: true; readonly records: readonly string[]; readonly resolver: string }
  | { readonly known: false; readonly reason: string }

/** `name` in A-labels, absolute, without a trailing dot. Never throws: that the DNS does not answer is data here. */
export type TxtLookup = (name: string) => Promise<TxtAnswer>
