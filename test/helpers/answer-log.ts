import { appendFileSync } from 'node:fs'

/** An answer of the management API, or of the sending routes, as a client got it. */
export interface SeenAnswer {
  readonly plane: 'management' | 'sending'
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly status: number
  readonly contentType: string | null
  readonly text: string
}

/** Names a file for what the tests see, as JSON lines: `npm run check-vendor-api` sets it. */
export const answersFile = 'POSTERN_TEST_ANSWERS'

export function noteAnswer(answer: SeenAnswer) {
  const file = process.env[answersFile]
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(answer)}\n`)
}

/** Notes the first answer on a connection to the gate's sending routes, by the line that its request began with. */
export function noteFirstAnswer(
  request: string,
  answer:
    | {
        readonly status: number
        readonly headers: Readonly<Record<string, string>>
        readonly body: string
      }
    | undefined,
) {
  const [, method, path] = /^([A-Z]+) (\/\S*) HTTP\/1\.1\r\n/.exec(request) ?? []
  if (answer === undefined || method === undefined || path === undefined) return
  const { status, headers, body } = answer
  // What was let through is answered by an upstream of the tests.
  if (status < 300) return
  const contentType = headers['content-type'] ?? null
  noteAnswer({ plane: 'sending', method, path, status, text: body, contentType })
}

/** Answers the same response of a sending route to a POST, noted. */
export async function notedResponse(response: Response): Promise<Response> {
  if (process.env[answersFile] === undefined) return response
  const { pathname, search } = new URL(response.url)
  const { status, headers } = response
  const text = await response.clone().text()
  noteAnswer({
    ...{ plane: 'sending', method: 'POST', path: pathname + search, status, text },
    contentType: headers.get('content-type'),
  })
  return response
}
