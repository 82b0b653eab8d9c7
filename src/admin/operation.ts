import { createRoute, type OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi'
import { readJsonBody } from './body.ts'
import type { ApiContext, ApiEnv } from './caller.ts'
import { badRequest, type FieldErrors, invalid, tooLarge } from './errors.ts'
import { commonAnswers, pendingChange, receiptHeaders } from './schemas.ts'

/**
 * One operation of the API: what it takes and answers. The same schemas describe it in /openapi.json and read its requests.
 */
export interface OperationSpec<Q extends z.ZodObject, B extends z.ZodType> {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly query?: Q
  readonly body?: B
  /** An empty body is as good as an empty object. */
  readonly bodyOptional?: boolean
  readonly takesIdempotencyKey?: boolean
  /** It answers when no node decides on the old state any more. */
  readonly isChange?: boolean
  readonly answer: {
    readonly status: 200 | 204
    readonly description: string
    readonly schema?: z.ZodType
  }
}

export interface Input<Q, B> {
  /** The one in the path; 0 where there is none. */
  readonly id: number
  readonly query: Q
  readonly body: B
}

export type Handler<Q, B> = (c: ApiContext, input: Input<Q, B>) => Response | Promise<Response>

export type DefineOperation = <
  Q extends z.ZodObject = z.ZodObject,
  B extends z.ZodType = z.ZodUndefined,
>(
  spec: OperationSpec<Q, B>,
  handle: Handler<z.output<Q>, z.output<B>>,
) => void

const ids = z.object({ account_id: z.int().positive(), id: z.int().positive() })
const idPattern = '[0-9]{1,15}'

/**
 * Answers how to add operations to `app` and to its description. The library's own routes are not used: they take a body
 * only with the right type, and an empty one never (docs/decisions/0020-one-schema-reads-and-describes.md).
 */
export function createOperations(app: OpenAPIHono<ApiEnv>): DefineOperation {
  return function operation(spec, handle) {
    app.openAPIRegistry.registerPath(describe(spec as OperationSpec<z.ZodObject, z.ZodType>))
    const route = spec.path.replace(/\{(\w+)\}/g, `:$1{${idPattern}}`)
    app.on(spec.method.toUpperCase(), route, async (c) => {
      const query = parse(spec.query, flatten(c.req.queries()))
      if (!query.ok) return invalid(c, query.errors)
      const read =
        spec.body === undefined ? undefined : await readJsonBody(c.env.incoming, c.env.outgoing)
      if (read?.ok === false) {
        return read.problem === 'too-large' ? tooLarge(c) : badRequest(c, 'The body is not JSON')
      }
      const body = parse(spec.body, read?.value)
      if (!body.ok) return invalid(c, body.errors)
      const id = Number(c.req.param('id') ?? 0)
      return handle(c, { id, query: query.value, body: body.value } as Parameters<typeof handle>[1])
    })
  }
}

function describe(spec: OperationSpec<z.ZodObject, z.ZodType>): RouteConfig {
  const { method, path, tag, summary, description, query, body, answer } = spec
  const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, true] as const)
  const params = ids.pick(Object.fromEntries(named) as { id: true })
  const headers = z.object({ 'idempotency-key': z.string().min(1).max(255).optional() })
  const content = (schema: z.ZodType) => ({ 'application/json': { schema } })
  return createRoute({
    method,
    path,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    request: {
      params,
      ...(query !== undefined && { query }),
      ...(spec.takesIdempotencyKey && { headers }),
      ...(body !== undefined && {
        body: { content: content(body), required: spec.bodyOptional !== true },
      }),
    },
    responses: {
      [answer.status]: {
        description: answer.description,
        ...(answer.schema !== undefined && { content: content(answer.schema) }),
        ...(spec.isChange && { headers: receiptHeaders }),
      },
      ...(spec.isChange && { 202: pendingChange }),
      ...commonAnswers,
    },
  })
}

type Parsed = { ok: true; value: unknown } | { ok: false; errors: FieldErrors }

function parse(schema: z.ZodType | undefined, value: unknown): Parsed {
  if (schema === undefined) return { ok: true, value: undefined }
  const parsed = schema.safeParse(value)
  return parsed.success
    ? { ok: true, value: parsed.data }
    : { ok: false, errors: errorsOf(parsed.error) }
}

function errorsOf({ issues }: z.ZodError): FieldErrors {
  const errors = new Map<string, string[]>()
  for (const { path, message } of issues) {
    const field = path.length === 0 ? 'base' : path.join('.')
    errors.set(field, [...(errors.get(field) ?? []), message])
  }
  return Object.fromEntries(errors)
}

/** `a[]=1&a[]=2` is a list, of a plain name the last one counts. */
function flatten(queries: Record<string, string[]>) {
  return Object.fromEntries(
    Object.entries(queries).map(([name, values]) => [
      name,
      name.endsWith('[]') ? values : values.at(-1),
    ]),
  )
}
