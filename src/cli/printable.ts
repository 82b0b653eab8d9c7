/** What somebody else wrote does not get to move the cursor of a terminal, nor to turn a line around. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|\p{Bidi_Control}/gu, '\ufffd')
}
