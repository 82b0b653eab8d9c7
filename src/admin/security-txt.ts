/** RFC 9116 §2.5.5 recommends less than a year. Whoever keeps a copy longer should look again. */
const validForMs = 90 * 24 * 3_600_000

export interface SecurityTxt {
  /** An `https:` or `mailto:` URL. */
  readonly contact: string
  /** Where people reach this control plane, if that is known. */
  readonly publicUrl: string | undefined
}

export const securityTxtPath = '/.well-known/security.txt'

/** Tells whoever finds a vulnerability where to report it (RFC 9116). It never runs out while the gate runs. */
export function securityTxt({ contact, publicUrl }: SecurityTxt, now: number): string {
  const lines = [`Contact: ${contact}`, `Expires: ${new Date(now + validForMs).toISOString()}`]
  if (publicUrl?.startsWith('https:')) lines.push(`Canonical: ${publicUrl}${securityTxtPath}`)
  return lines.map((line) => `${line}\n`).join('')
}
