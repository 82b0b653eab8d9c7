import { connect, type Socket } from 'node:net'

/** One keep-alive connection of an HTTP client that does next to nothing: what it costs is not what is measured. */
export interface HttpConnection {
  /** Sends one request; its answer's status goes to `onAnswer`. One at a time. */
  send(request: Buffer): void
  destroy(): void
}

/** Stands for an answer that never came: the connection ended, or said what is not HTTP. */
export const noAnswer = 0

export function openHttpConnection(
  port: number,
  onAnswer: (status: number, connection: HttpConnection) => void,
): Promise<HttpConnection> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received = ''
    let isWaiting = false
    const connection: HttpConnection = {
      send(request) {
        if (isWaiting) throw new Error('the connection is busy')
        isWaiting = true
        socket.write(request)
      },
      destroy() {
        isWaiting = false
        socket.destroy()
      },
    }
    function answered(status: number) {
      if (!isWaiting) return
      isWaiting = false
      onAnswer(status, connection)
    }
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      let answer = takeAnswer(received)
      while (answer !== undefined) {
        received = received.slice(answer.length)
        if (answer.status >= 200 || answer.status === noAnswer) answered(answer.status)
        answer = received === '' ? undefined : takeAnswer(received)
      }
    })
    socket.once('connect', () => resolve(connection))
    socket.on('error', (error) => reject(error))
    socket.on('close', () => answered(noAnswer))
  })
}

/** The first whole answer in what has arrived: its status, and how many characters it takes. */
export function takeAnswer(received: string) {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = received.slice(0, headEnd)
  const status = /^HTTP\/1\.1 \d{3}/.test(head) ? Number(head.slice(9, 12)) : noAnswer
  const bodyStart = headEnd + 4
  const bodyLength = lengthOfBody(head, status, received, bodyStart)
  if (bodyLength === undefined || received.length < bodyStart + bodyLength) return undefined
  return { status, length: bodyStart + bodyLength }
}

function lengthOfBody(head: string, status: number, received: string, start: number) {
  if (status < 200 || status === 204 || status === 304) return 0
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length !== undefined) return Number(length)
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return 0
  // No answer that is asked for here holds the mark of the last chunk in its text.
  if (received.startsWith('0\r\n\r\n', start)) return 5
  const last = received.indexOf('\r\n0\r\n\r\n', start)
  return last < 0 ? undefined : last + 7 - start
}
