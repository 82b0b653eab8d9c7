import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import type { SeenAnswer } from '../helpers/answer-log.ts'

/** What an answer and a description say differently. */
export interface Difference {
  /** As described: `GET /api/domains/{domain_id} 200`. */
  readonly answer: string
  readonly says: string
}

export interface VendorDescription {
  /** The operation and status as described, or undefined when the vendor has no such operation. */
  operationOf(answer: SeenAnswer): string | undefined
  /** None when it is exactly as described. */
  differences(answer: SeenAnswer): readonly Difference[]
}

/**
 * Reads OpenAPI documents of a vendor. They require no key and forbid none, so that nearly everything would be valid: here
 * an answer has each key that is described, and no other.
 */
export function readVendorDescription(documents: readonly any[]): VendorDescription {
  const ajv = new Ajv2020({ strict: false, allErrors: true, formats })
  const operations = documents.flatMap((document, at) => {
    ajv.addSchema(strictly(document), `vendor-${at}`)
    const plane = Object.keys(document.paths).some((path) => path.startsWith('/api/send'))
      ? 'sending'
      : 'management'
    return Object.entries<any>(document.paths).flatMap(([path, item]) =>
      Object.entries<any>(item)
        .filter(([, { responses } = {} as any]) => responses !== undefined)
        .map(([method, { responses }]) => ({ plane, document, at, path, method, responses })),
    )
  })
  const validators = new Map<string, ValidateFunction>()

  function validatorFor(reference: string): ValidateFunction {
    const known = validators.get(reference) ?? ajv.compile({ $ref: reference })
    validators.set(reference, known)
    return known
  }

  function find({ plane, method, path }: SeenAnswer) {
    const called = currentPath(path)
    // A path without a parameter is the nearer one.
    return operations
      .filter((one) => one.plane === plane && one.method === method.toLowerCase())
      .filter((one) => matcher(one.path).test(called))
      .toSorted((a, b) => a.path.split('{').length - b.path.split('{').length)
  }

  return {
    operationOf(answer) {
      const [found] = find(answer)
      return found && `${answer.method.toUpperCase()} ${found.path} ${answer.status}`
    },
    differences(answer) {
      const { status, contentType } = answer
      return find(answer).flatMap(({ document, at, path, method, responses }) => {
        const name = `${method.toUpperCase()} ${path} ${status}`
        const said = (says: string): Difference[] => [{ answer: name, says }]
        const response = responses[status]
        if (response === undefined) return said('the status is not described')
        const steps = response.$ref?.slice(2).split('/') ?? [
          ...['paths', path, method, 'responses', String(status)],
        ]
        const { content } = steps.reduce((value: any, step: string) => value[step], document)
        if (content === undefined) return answer.text === '' ? [] : said('a body is not described')
        if (!/^application\/json\b/.test(contentType ?? '')) return said('the body is not JSON')
        const pointer = [...steps, 'content', 'application/json', 'schema'].map(escapeStep).join('')
        const validate = validatorFor(`vendor-${at}#${pointer}`)
        if (validate(currentWords(JSON.parse(answer.text)))) return []
        return ofNearest(validate.errors ?? []).flatMap((error) => said(sentenceOf(error)))
      })
    },
  }
}

/** The older paths, with an account in them, are described no more: they differ in these words. */
function currentPath(path: string): string {
  return new URL(path, 'http://api.test').pathname
    .replace(/^\/api\/accounts\/\d+\//, '/api/')
    .replace(/^\/api\/sending_domains(?=\/|$)/, '/api/domains')
}

function currentWords(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, member) =>
    (key === 'resource_type' || key === 'type') && member === 'sending_domain' ? 'domain' : member,
  )
}

function matcher(template: string): RegExp {
  return new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`)
}

/** RFC 3339; the others are for people. */
const formats = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/,
  email: true,
  hostname: true,
  int64: true,
  uri: true,
  uuid: true,
} as const

function strictly(value: any): any {
  if (Array.isArray(value)) return value.map(strictly)
  if (value === null || typeof value !== 'object') return value
  const copy = Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, strictly(member)]),
  )
  // OpenAPI 3.0's word, which the examples beside it show to be meant.
  if (copy.nullable === true && typeof copy.type === 'string') copy.type = [copy.type, 'null']
  if (typeof copy.properties === 'object' && copy.additionalProperties === undefined) {
    copy.additionalProperties = false
    copy.required = Object.keys(copy.properties)
  }
  return copy
}

/** RFC 6901 §3 and §6. */
function escapeStep(step: string): string {
  return `/${encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))}`
}

/** Of alternatives only what is wrong with the one that fits best. */
function ofNearest(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const choice = errors.find(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
  if (choice === undefined) return errors
  const prefix = `${choice.schemaPath}/`
  const isWithin = ({ schemaPath, instancePath }: ErrorObject) =>
    schemaPath.startsWith(prefix) && instancePath.startsWith(choice.instancePath)
  const alternatives = Map.groupBy(
    errors.filter(isWithin),
    ({ schemaPath }) => schemaPath.slice(prefix.length).split('/')[0],
  )
  const [nearest = []] = [...alternatives.values()].toSorted((a, b) => a.length - b.length)
  const others = errors.filter((error) => error !== choice && !isWithin(error))
  return [...nearest, ...ofNearest(others)]
}

/** Without what is of this answer alone, so that the same difference always reads the same. */
function sentenceOf({ instancePath, keyword, message, params }: ErrorObject): string {
  const place = instancePath.replace(/\/\d+/g, '/*')
  const key = params.additionalProperty ?? ''
  return `${place || 'the body'}: ${keyword === 'additionalProperties' ? `${key} is not described` : message}`
}
