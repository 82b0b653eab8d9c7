import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Step } from './case-file.ts'

/** One answer of the gate, whole. */
export interface Answer {
  readonly code: number
  readonly text: string
}

/** Takes the first whole answer off what has arrived; undefined when there is none yet. */
export type AnswerReader = (received: Buffer) => { answer: Answer; length: number } | undefined

/** No answer takes as long: the connection hangs. */
const hangMs = 8_000

/** A connection on which the steps of a case are taken, byte for byte. */
export function openDialogue(address: string, readAnswer: AnswerReader) {
  const [host = '', port] = address.replace('http://', '').split(':')
  let socket: Socket = connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true })
  let received = Buffer.alloc(0)
  let ended = false
  let wake = () => {}
  const answers: Answer[] = []

  function listen() {
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      wake()
    })
    // A reset is one way of closing.
    socket.on('error', () => {})
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        ended = true
        wake()
      })
    }
  }

  async function until<T>(what: string, found: () => T | undefined): Promise<T> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      wake()
    }, hangMs)
    try {
      for (;;) {
        const value = found()
        if (value !== undefined) return value
        if (late || ended) {
          throw new Error(`${late ? 'hangs' : 'closed'} before ${what}, after ${shown()}`)
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      clearTimeout(timer)
    }
  }

  function shown() {
    const said = answers.map(({ text }) => text).join('')
    return JSON.stringify(`${said}${received.toString('latin1')}`)
  }

  function answer(what: string): Promise<Answer> {
    return until(what, () => {
      const read = readAnswer(received)
      if (read === undefined) return undefined
      received = received.subarray(read.length)
      answers.push(read.answer)
      return read.answer
    })
  }

  async function closed() {
    await until('it closes', () => ended || undefined)
    if (received.length > 0) throw new Error(`more was said before it closed: ${shown()}`)
  }

  function send(bytes: Buffer | string): Promise<void> {
    // The gate may have closed already, which is for the next step to judge.
    return new Promise((resolve) => socket.write(bytes, () => resolve()))
  }

  function secure(): Promise<void> {
    socket.removeAllListeners()
    const secured = connectTls({ socket, rejectUnauthorized: false })
    socket = secured
    listen()
    return new Promise((resolve, reject) => {
      secured.once('secureConnect', () => resolve())
      secured.once('error', reject)
    })
  }

  async function take(step: Step) {
    switch (step.kind) {
      case 'send':
        return send(step.bytes)
      case 'closed':
        return closed()
      case 'answer': {
        const { code, text } = await answer(step.codes.join('/'))
        if (!step.codes.includes(code) || !text.includes(step.text)) {
          throw new Error(`not ${step.codes.join('/')} ${step.text}, but ${JSON.stringify(text)}`)
        }
        return
      }
      case 'act':
        if (step.act === 'tls') return secure()
        if (step.act === 'end') socket.end()
        if (step.act === 'leave') socket.destroy()
        // Written, and so a segment of its own: the next bytes come in a later turn.
        if (step.act === 'segment') await new Promise((resolve) => setImmediate(resolve))
    }
  }

  listen()
  return { answers, send, answer, closed, take, destroy: () => socket.destroy() }
}

export type Dialogue = ReturnType<typeof openDialogue>

/** Connections that are open before they are wanted: an SMTP server greets late, to find out who talks too soon. */
export function keepDialogues(address: string, readAnswer: AnswerReader, count: number) {
  const open = () => openDialogue(address, readAnswer)
  const waiting = Array.from({ length: count }, open)
  return {
    take(): Dialogue {
      const taken = waiting.shift() ?? open()
      waiting.push(open())
      return taken
    },
    close() {
      for (const dialogue of waiting) dialogue.destroy()
    },
  }
}

/** RFC 5321 §4.2. */
export const readReply: AnswerReader = (received) => {
  const text = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(
    received.toString('latin1'),
  )?.[0]
  if (text === undefined) return undefined
  return { answer: { code: Number(text.slice(0, 3)), text }, length: text.length }
}

/** RFC 9112 §2.1: an answer with a length, or none. */
export const readHttpAnswer: AnswerReader = (received) => {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = received.subarray(0, headEnd + 4).toString('latin1')
  const code = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
  if (Number.isNaN(code)) throw new Error(`no HTTP: ${JSON.stringify(head)}`)
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
  const end = headEnd + 4 + length
  if (received.length < end) return undefined
  return { answer: { code, text: received.subarray(0, end).toString() }, length: end }
}
