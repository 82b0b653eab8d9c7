/** The forms in which a secret could stand in some output and be read by whoever finds it. */
export function secretForms(secret: string): readonly string[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  const base64 = [0, 1, 2].map((before) => insideBase64(bytes, before))
  return [
    ...new Set([
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
      hex.replace(/../g, '%$&'),
      hex.toUpperCase().replace(/../g, '%$&'),
      hex,
      hex.toUpperCase(),
      ...base64,
      ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
      Buffer.from(secret, 'utf16le').toString('latin1'),
    ]),
  ]
}

/** What is the same in the base64 of every text that has the bytes at this place modulo three. */
function insideBase64(bytes: Buffer, before: number): string {
  const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
  const begin = Math.ceil((before * 8) / 6)
  return text.slice(begin, Math.floor(((before + bytes.length) * 8) / 6))
}

/** The names of the secrets that can be read in the output. */
export function findSecrets(
  output: string | Buffer,
  secrets: ReadonlyMap<string, string>,
): readonly string[] {
  const text =
    typeof output === 'string' ? Buffer.from(output).toString('latin1') : output.toString('latin1')
  return [...secrets]
    .filter(([, secret]) => secretForms(secret).some((form) => text.includes(form)))
    .map(([name]) => name)
}
