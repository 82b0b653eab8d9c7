import { html } from 'hono/html'
import { findField } from './bounds.ts'
import type { EnvelopeAddress, Field, KeptMessage } from './mailbox.ts'

/** What `html` gives: text in which everything foreign has been escaped. */
export type Markup = ReturnType<typeof html>

const maxSourceChars = 64 * 1024

/** One message in full. Its HTML is shown in a frame that may run nothing and load nothing, and as source text. */
export function messageView(message: KeptMessage): Markup {
  return html`<article>
    <div class="tags">${tags(message)} ${instant(message.receivedAt, 'date and time')}</div>
    <h2>${message.subject ?? 'No subject'}</h2>
    <dl>${fact('Claims to be from', message.headerFrom ?? 'nobody')}
      ${message.protocol === 'http' ? requestFacts(message) : envelopeFacts(message)}
      ${fact('Size', `${formatSize(message.size)}${message.truncated ? ', kept in part' : ''}`)}
    </dl>
    ${bodies(message)} ${assertion(message.headers)}
    <details open>
      <summary>${message.protocol === 'http' ? 'Request' : 'Message'} headers</summary>
      ${fieldTable(message.headers)}
    </details>
    <details>
      <summary>As it arrived</summary>
      ${source(rawText(message))}
      <p class="note"><a href="/messages/${message.id}/raw">All ${formatSize(message.raw.byteLength)}</a>
        · <a href="/messages/${message.id}">as JSON</a></p>
    </details>
  </article>`
}

/** Protocol, token and refusal, as small labels. */
export function tags(message: KeptMessage): Markup {
  const refused = message.protocol === 'http' && message.status !== 200 ? message.status : null
  return html`<span class="tag ${message.protocol}">${message.protocol.toUpperCase()}</span>
    ${message.tokenId === null ? '' : html`<span class="tag token">token ${message.tokenId}</span>`}
    ${refused === null ? '' : html`<span class="tag bad">answered ${refused}</span>`}`
}

/** An instant in the time zone of this machine, which is that of its reader. */
export function instant(at: number, shown: 'time' | 'date and time'): Markup {
  const date = new Date(at)
  const full = `${date.toLocaleDateString('en-GB', { dateStyle: 'medium' })}, ${date.toLocaleTimeString('en-GB')}`
  return html`<time datetime="${date.toISOString()}" title="${full}">${
    shown === 'time' ? date.toLocaleTimeString('en-GB') : full
  }</time>`
}

function requestFacts(message: Extract<KeptMessage, { protocol: 'http' }>): Markup {
  return html`${message.senders.length > 1 ? fact('All senders', message.senders.join(', ')) : ''}
    ${fact('To', message.recipients.join(', ') || 'nobody')} ${accountFact(message)}
    ${fact('Request', html`<code>${message.method} ${message.path}</code>`)}`
}

function envelopeFacts(message: Extract<KeptMessage, { protocol: 'smtp' }>): Markup {
  const { helo, username, secure } = message
  return html`${fact('Envelope sender', envelopeAddress(message.mailFrom))}
    ${fact('Envelope recipients', message.rcptTo.map(envelopeAddress))}
    ${fact('Client', `${helo}${secure ? ', over TLS' : ''}`)}
    ${username === null ? '' : fact('Signed in as', username)} ${accountFact(message)}`
}

function accountFact({ accountId, tokenId }: KeptMessage): Markup | '' {
  if (accountId === null && tokenId === null) return ''
  return fact('Let through for', `token ${tokenId ?? '?'} of account ${accountId ?? '?'}`)
}

function envelopeAddress({ address, parameters }: EnvelopeAddress): Markup {
  const shown = Object.entries(parameters).map(([name, value]) =>
    value === true ? name : `${name}=${value}`,
  )
  return html`<div>&lt;${address}&gt; <small>${shown.join(' ')}</small></div>`
}

function fact(name: string, value: Markup | string | readonly Markup[]): Markup {
  return html`<dt>${name}</dt><dd>${value}</dd>`
}

function bodies({ id, html: body, text }: KeptMessage): Markup {
  return html`${
    body === null
      ? ''
      : html`<section><h3>HTML</h3><iframe sandbox="" src="/view/${id}/html" title="HTML body"></iframe>
          <details><summary>HTML source</summary>${source(body)}</details></section>`
  }
  ${text === null ? '' : html`<section><h3>Text</h3>${source(text)}</section>`}`
}

/** The claims that the gate signed, decoded for reading. */
function assertion(headers: readonly Field[]): Markup | '' {
  const payload = findField(headers, 'Postern-Assertion')?.split('.')[1]
  if (payload === undefined) return ''
  return html`<section><h3>What the gate states</h3>
    ${source(indentJson(Buffer.from(payload, 'base64url').toString('utf8')))}
    <p class="note">Decoded from <code>Postern-Assertion</code>; its signature is not checked here.</p></section>`
}

function fieldTable(fields: readonly Field[]): Markup {
  return html`<table class="fields">${fields.map(
    ([name, value]) =>
      html`<tr class="${/^postern-/i.test(name) ? 'ours' : ''}"><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</table>`
}

function source(text: string): Markup {
  const cut = text.length > maxSourceChars
  return html`<pre>${text.slice(0, maxSourceChars)}</pre>${
    cut ? html`<p class="note">The beginning only.</p>` : ''
  }`
}

function rawText({ protocol, raw }: KeptMessage): string {
  if (protocol === 'http' && raw.byteLength <= maxSourceChars) {
    return indentJson(Buffer.from(raw).toString('utf8'))
  }
  // A little more than is shown, so that `source` sees that something is missing.
  return Buffer.from(raw.subarray(0, 4 * maxSourceChars + 4)).toString('utf8')
}

function indentJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text // not JSON, or nested too deeply to print
  }
}

function formatSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
