/** Names that people give: 1 to 255 characters, no control characters. Derived ones may be longer. */
const maxNameLength = 255

/** What is wrong with a name that a person gave, as a sentence, or undefined. */
export function nameProblem(name: string): string | undefined {
  if (name.trim() === '') return "name can't be blank"
  if ([...name].length > maxNameLength) return `name is longer than ${maxNameLength} characters`
  if (/\p{Cc}|\p{Cs}/u.test(name)) return 'name contains a control character'
  return undefined
}

/** The name of the token that comes with a domain: `example.com token 1234`. */
export function domainTokenName(domain: string, tokenId: number): string {
  return `${domain} token ${tokenId}`
}

/**
 * The name of a successor carries its id. A trailing id of the *old token itself* is replaced, so that
 * `example.com token 1234` becomes `example.com token 4231`; any other number is part of the name and stays.
 */
export function successorName(oldName: string, oldId: number, newId: number): string {
  const own = ` ${oldId}`
  const stem = oldName.endsWith(own) ? oldName.slice(0, -own.length) : oldName
  return `${stem} ${newId}`
}
