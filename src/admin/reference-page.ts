import { html, raw } from 'hono/html'
import type { ApiDescription } from './api.ts'

/** The description of the API for people: one page that needs nothing but itself. */

type Paths = NonNullable<ApiDescription['paths']>
type Operation = NonNullable<Paths[string]['get']>

const methods = ['get', 'post', 'put', 'patch', 'delete'] as const

const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  code, pre { font: 0.875rem/1.5 ui-monospace, monospace }
  pre { overflow-x: auto; padding: 0.75rem; border-radius: 0.375rem; background: #8881 }
  summary { cursor: pointer; padding: 0.375rem 0 }
  details > details, details > :not(summary) { margin-left: 1rem }
  .method { display: inline-block; min-width: 4.5rem; font-weight: 600 }
  h2 { margin-top: 2.5rem }
`

export function referencePage(description: ApiDescription) {
  const operations = Object.entries(description.paths ?? {}).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const operation = item[method]
      return operation === undefined ? [] : [{ method, path, operation }]
    }),
  )
  const byTag = Map.groupBy(operations, ({ operation }) => operation.tags?.[0] ?? '')
  const { title, version, description: about } = description.info
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>${title}</title>
    <style>${raw(style)}</style>
  </head>
  <body>
    <h1>${title} <small>${version}</small></h1>
    <p>${about}</p>
    <p>Send an API token as <code>Authorization: Bearer …</code> or <code>Api-Token: …</code>.
      The same for programs: <a href="/openapi.json">/openapi.json</a>.</p>
    ${[...byTag].map(
      ([tag, group]) =>
        html`<h2>${tag}</h2>${group.map(
          ({ method, path, operation }) => html`
    <details>
      <summary><code><span class="method">${method.toUpperCase()}</span>${path}</code>
        ${operation.summary}</summary>
      ${operation.description === undefined ? '' : html`<p>${operation.description}</p>`}
      ${requestPart(operation)}
      ${answersPart(operation)}
    </details>`,
        )}`,
    )}
    <h2>Schemas</h2>
    ${Object.entries(description.components?.schemas ?? {}).map(
      ([name, schema]) => html`
    <details id="${name}"><summary><code>${name}</code></summary>${schemaPart(schema)}</details>`,
    )}
  </body>
</html>`
}

function requestPart({ parameters, requestBody }: Operation) {
  const fields = (parameters ?? []).flatMap((parameter) => ('name' in parameter ? [parameter] : []))
  const body = requestBody !== undefined && 'content' in requestBody ? requestBody.content : {}
  return html`${fields.map(
    ({ name, in: where, required }) =>
      html`<p><code>${name}</code> in ${where}${required === true ? '' : ', optional'}</p>`,
  )}${schemaPart(body['application/json']?.schema)}`
}

function answersPart({ responses }: Operation) {
  return Object.entries(responses ?? {}).map(
    ([status, answer]) => html`
      <details>
        <summary><b>${status}</b> ${answer.description}</summary>
        ${schemaPart(answer.content?.['application/json']?.schema)}
      </details>`,
  )
}

function schemaPart(schema: unknown) {
  return schema === undefined ? '' : html`<pre>${JSON.stringify(schema, null, 2)}</pre>`
}
