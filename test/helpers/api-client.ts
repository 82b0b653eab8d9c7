import { type ApiDescription, readDescription } from './api-description.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: any
}

export type Ask = (
  method: string,
  path: string,
  more?: RequestInit & { readonly token?: string },
) => Promise<Answer>

/** A client of the management API, each answer of which must be as the served description says. */
export async function createApiClient(
  url: string,
  token: string,
): Promise<{ readonly ask: Ask; readonly description: ApiDescription }> {
  const description = readDescription(await (await fetch(`${url}/openapi.json`)).json())
  return {
    description,
    async ask(method, path, more = {}) {
      const { token: own = token, ...rest } = more
      const response = await fetch(url + path, {
        method,
        ...rest,
        headers: { authorization: `Bearer ${own}`, ...rest.headers },
      })
      const text = await response.text()
      const { status, headers } = response
      description.check(method, path, { status, contentType: headers.get('content-type'), text })
      return { status, headers, body: text === '' ? null : JSON.parse(text) }
    },
  }
}

export function json(body: unknown, headers: Record<string, string> = {}) {
  return {
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  }
}
