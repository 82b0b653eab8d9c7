import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { expect } from 'vitest'
import { noteAnswer } from './answer-log.ts'

/** An answer as it came over the wire. */
export interface ApiAnswer {
  readonly status: number
  readonly contentType: string | null
  readonly text: string
}

export interface ApiDescription {
  /** Fails the test unless the description knows this operation, its status, and the form of its body. */
  check(method: string, path: string, answer: ApiAnswer): void
  /** What was checked: `GET /api/api_tokens 200`. */
  readonly seen: Set<string>
}

/** Reads an OpenAPI 3.1 document as what it says of answers. */
export function readDescription(document: any): ApiDescription {
  // Formats are for people: the patterns behind them are the vendor's, and stand in the tests.
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema(document, 'api')
  const operations = Object.entries<any>(document.paths).flatMap(([path, item]) =>
    Object.entries<any>(item).map(([method, operation]) => ({ path, method, operation })),
  )
  const validators = new Map<string, ValidateFunction>()
  const seen = new Set<string>()

  function validatorFor(pointer: string): ValidateFunction {
    const known = validators.get(pointer) ?? ajv.compile({ $ref: `api#${pointer}` })
    validators.set(pointer, known)
    return known
  }

  return {
    seen,
    check(method, path, { status, contentType, text }) {
      noteAnswer({ plane: 'management', method, path, status, contentType, text })
      const called = new URL(path, 'http://api.test').pathname
      const found = operations.find(
        (one) => one.method === method.toLowerCase() && matcher(one.path).test(called),
      )
      const what = `${method} ${called} ${status}`
      if (status !== 204) expect(contentType, what).toMatch(/^application\/json/)
      if (found === undefined) {
        // What is not there is not described; nothing but this may be said of it.
        expect([401, 403, 404], what).toContain(status)
        JSON.parse(text)
        return
      }
      expect(Object.keys(found.operation.responses), what).toContain(String(status))
      seen.add(`${method.toUpperCase()} ${found.path} ${status}`)
      if (found.operation.responses[status].content === undefined) {
        expect(text, what).toBe('')
        return
      }
      const steps = ['paths', found.path, found.method, 'responses', String(status)]
      const pointer = [...steps, 'content', 'application/json', 'schema'].map(escapeStep).join('')
      const validate = validatorFor(pointer)
      const valid = validate(JSON.parse(text))
      expect(valid, `${what}: ${ajv.errorsText(validate.errors)}: ${text}`).toBe(true)
    },
  }
}

function matcher(template: string): RegExp {
  return new RegExp(`^${template.replace(/\{\w+\}/g, '[0-9]{1,15}')}$`)
}

/** RFC 6901 §3 and §6. */
function escapeStep(step: string): string {
  return `/${encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))}`
}
