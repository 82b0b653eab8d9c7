import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import { failure, type SinkEnv } from './email-api.ts'
import type { KeptMessage, Mailbox } from './mailbox.ts'
import { instant, type Markup, messageView, tags } from './message-view.ts'
import { script, style } from './page-assets.ts'

const pagePolicy = [
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'",
  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join('; ')

/** The HTML of a message is a stranger's: no scripts, no requests, no access to this origin. */
const strangerPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"

export interface PageDeps {
  readonly mailbox: Mailbox
  /** What the list was when the page was made: the page's script asks for what is newer. */
  readonly contentTag: () => string
}

/** The page for people: the list, and beside it one message. */
export function createPage({ mailbox, contentTag }: PageDeps): Hono<SinkEnv> {
  const app = new Hono<SinkEnv>()

  app.get('/', (c) => renderPage(c, mailbox.list()[0]))

  app.get('/view/:id', function view(c) {
    const message = mailbox.get(c.req.param('id'))
    return message === undefined ? c.redirect('/') : renderPage(c, message)
  })

  app.get('/view/:id/html', function viewHtml(c) {
    const body = mailbox.get(c.req.param('id'))?.html
    if (body === undefined || body === null) return c.json(failure('Not Found'), 404)
    protect(c, strangerPolicy)
    return c.html(body)
  })

  app.get('/style.css', (c) => c.body(style, 200, { 'Content-Type': 'text/css; charset=utf-8' }))
  app.get('/page.js', (c) => c.body(script, 200, { 'Content-Type': 'text/javascript' }))

  function renderPage(c: Context<SinkEnv>, shown: KeptMessage | undefined) {
    protect(c, pagePolicy)
    return c.html(layout(mailbox.list(), shown, contentTag()))
  }

  return app
}

function protect(c: Context, policy: string): void {
  c.header('Content-Security-Policy', policy)
  c.header('X-Content-Type-Options', 'nosniff')
  c.header('Referrer-Policy', 'no-referrer')
  c.header('Cache-Control', 'no-store')
}

function layout(
  messages: readonly KeptMessage[],
  shown: KeptMessage | undefined,
  tag: string,
): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Postern sink</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/style.css">
  <script src="/page.js" defer></script>
</head>
<body data-tag="${tag}">
  <header>
    <h1><a href="/">Postern sink</a></h1>
    <p id="count">${count(messages.length)}</p>
    <button type="button" id="clear">Clear</button>
  </header>
  <nav aria-label="Messages"><ol>${messages.map((message) => listItem(message, message === shown))}</ol></nav>
  <main>${shown === undefined ? emptyState : messageView(shown)}</main>
</body>
</html>`
}

function count(messages: number): string {
  if (messages === 0) return 'keeps what it is sent, delivers nothing'
  return messages === 1
    ? '1 message kept, none delivered'
    : `${messages} messages kept, none delivered`
}

function listItem(message: KeptMessage, isShown: boolean): Markup {
  const { id, receivedAt, subject, senders, recipients } = message
  const more = recipients.length > 1 ? ` and ${recipients.length - 1} more` : ''
  return html`<li><a href="/view/${id}" ${isShown ? html`aria-current="page"` : ''}>
    <div class="top"><span>${tags(message)}</span>${instant(receivedAt, 'time')}</div>
    <div class="subject">${subject ?? 'No subject'}</div>
    <div class="route">${senders[0] ?? 'nobody'} → ${recipients[0] ?? 'nobody'}${more}</div>
  </a></li>`
}

const emptyState = html`<div class="empty">
  <h2>Nothing has arrived yet.</h2>
  <p>Send something through the gate.</p>
  <p>The lines that <code>postern dev</code> printed when it started do it: one over HTTP, one over SMTP.
    What the gate lets through shows here within two seconds. What it refuses never does.</p>
</div>`
