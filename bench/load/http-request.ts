/** A request of the load, small enough to be sent to the loader many times over. */
export interface HttpRequestPlan {
  readonly token: string
  readonly fromDomain: string
  /** Of the whole body; what the message itself does not take is filled up. */
  readonly bodyBytes: number
}

/** The smallest message that is sent: below that there is no room for its fields. */
export const smallestBodyBytes = 256

/** A call of the Email API as mailers make it: JSON over keep-alive. */
export function writeHttpRequest({ token, fromDomain, bodyBytes }: HttpRequestPlan): Buffer {
  const body = writeMessage(fromDomain, bodyBytes)
  const head = [
    'POST /api/send HTTP/1.1',
    'Host: send.api.example',
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    'Accept: application/json',
    'User-Agent: bench/1',
    `Content-Length: ${body.length}`,
    '',
    '',
  ].join('\r\n')
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

/** Above a few kilobytes what fills it is an attachment, as it would be. */
export function writeMessage(fromDomain: string, bytes: number): Buffer {
  const message = {
    from: { email: `hello@${fromDomain}`, name: 'Hello' },
    to: [{ email: 'someone@recipient.example' }],
    subject: 'A message of the benchmark',
    text: '',
    ...(bytes > 4_096 && { attachments: [{ filename: 'a.bin', content: '' }] }),
  }
  const missing = bytes - JSON.stringify(message).length
  if (missing < 0) throw new Error(`a message has at least ${smallestBodyBytes} bytes`)
  const [attachment] = message.attachments ?? []
  if (attachment === undefined) message.text = 'x'.repeat(missing)
  else attachment.content = 'QUJD'.repeat(Math.ceil(missing / 4)).slice(0, missing)
  return Buffer.from(JSON.stringify(message))
}
