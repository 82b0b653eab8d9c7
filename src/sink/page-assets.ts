/** Everything the page needs besides its HTML: served from here, so that it works without a network. */

export const style = `
:root {
  color-scheme: light dark;
  --ground: #f6f5f2; --sheet: #fffefb; --ink: #23211d; --quiet: #6f6a60; --line: #e3dfd6;
  --chosen: #efe9da; --accent: #8a5a1c; --http: #2c5f8a; --smtp: #5d4a8a; --bad: #a3322a;
  --http-tint: #e4eef6; --smtp-tint: #ece8f5; --bad-tint: #f8e6e3; --token-tint: #f3ead9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #171614; --sheet: #1f1e1b; --ink: #e9e5dc; --quiet: #9b958a; --line: #34322d;
    --chosen: #2c2a24; --accent: #d9a866; --http: #8ec1ea; --smtp: #bcaceb; --bad: #ee9288;
    --http-tint: #1f303e; --smtp-tint: #2b2640; --bad-tint: #402320; --token-tint: #36301f;
  }
}
* { box-sizing: border-box; margin: 0 }
body {
  display: grid; grid-template: auto 1fr / 24rem 1fr; height: 100vh;
  background: var(--ground); color: var(--ink);
  font: 15px/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif;
}
header {
  grid-column: 1 / -1; display: flex; align-items: baseline; gap: .75rem;
  padding: .8rem 1.25rem; border-bottom: 1px solid var(--line);
}
header a { color: inherit; text-decoration: none }
header h1 { font-size: 1.05rem; font-weight: 650; letter-spacing: -.01em }
header p { color: var(--quiet); font-size: .85rem }
header button { margin-left: auto }
button {
  font: inherit; font-size: .85rem; color: var(--quiet); background: none; cursor: pointer;
  border: 1px solid var(--line); border-radius: .4rem; padding: .2rem .7rem;
}
button:hover { color: var(--ink); border-color: var(--quiet) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px }
nav { overflow-y: auto; border-right: 1px solid var(--line) }
nav ol { list-style: none; padding: 0 }
nav a {
  display: block; padding: .75rem 1.25rem; border-bottom: 1px solid var(--line);
  color: inherit; text-decoration: none;
}
nav a:hover { background: var(--sheet) }
nav a[aria-current] { background: var(--chosen); box-shadow: inset 3px 0 var(--accent) }
nav .top { display: flex; justify-content: space-between; gap: .75rem; font-size: .8rem; color: var(--quiet) }
nav .subject { font-weight: 600 }
nav .subject, nav .route { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
nav .route { color: var(--quiet); font-size: .85rem }
time { font-variant-numeric: tabular-nums; white-space: nowrap }
main { overflow-y: auto; padding: 2rem 2.5rem 4rem; background: var(--sheet) }
main > * { max-width: 56rem }
main h2 { font-size: 1.5rem; line-height: 1.25; font-weight: 650; letter-spacing: -.015em; overflow-wrap: anywhere }
.tags { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin-bottom: .6rem; color: var(--quiet); font-size: .85rem }
.tag { border-radius: .3rem; padding: .05rem .45rem; font-size: .75rem; font-weight: 600; letter-spacing: .02em }
.http { color: var(--http); background: var(--http-tint) }
.smtp { color: var(--smtp); background: var(--smtp-tint) }
.bad { color: var(--bad); background: var(--bad-tint) }
.token { color: var(--accent); background: var(--token-tint) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 1.25rem 0 1.75rem }
dt { color: var(--quiet) }
dd { overflow-wrap: anywhere }
dd small { color: var(--quiet) }
section { margin-bottom: 1.5rem }
section details { margin-top: .3rem }
h3, summary { font-size: .8rem; font-weight: 600; color: var(--quiet); letter-spacing: .03em }
h3 { margin-bottom: .5rem }
summary { cursor: pointer; padding: .35rem 0 }
article > details { border-top: 1px solid var(--line); padding: .3rem 0 }
pre, code, .fields { font-family: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", monospace; font-size: .82rem }
pre {
  white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.55;
  background: var(--ground); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1.1rem;
}
iframe {
  display: block; width: 100%; height: 15rem; resize: vertical; background: #fff;
  border: 1px solid var(--line); border-radius: .5rem;
}
.fields { border-collapse: collapse; width: 100% }
.fields th, .fields td { text-align: left; vertical-align: top; padding: .2rem 0; font-weight: 400; overflow-wrap: anywhere }
.fields th { color: var(--quiet); padding-right: 1.25rem; width: 14rem }
.fields .ours th, .fields .ours td { color: var(--accent) }
.note { color: var(--quiet); font-size: .85rem; margin-top: .5rem }
.empty { max-width: 30rem; margin: 18vh auto 0; text-align: center; color: var(--quiet) }
.empty h2 { color: var(--ink); margin-bottom: .6rem }
.empty p + p { margin-top: .9rem }
main a { color: var(--accent) }
@media (max-width: 760px) {
  body { display: block; height: auto }
  nav { max-height: 40vh; border-right: 0; border-bottom: 1px solid var(--line) }
  main { padding: 1.25rem }
  dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem }
}
`

/** Asks for the list every two seconds; when it changed, takes the new parts out of the page itself. */
export const script = `
let seen = document.body.dataset.tag
async function look() {
  const answer = await fetch('/messages', { headers: { 'If-None-Match': seen }, cache: 'no-store' })
  if (answer.status === 304) return
  await redraw()
  seen = answer.headers.get('ETag')
}
async function redraw() {
  const text = await (await fetch(location.href)).text()
  const fresh = new DOMParser().parseFromString(text, 'text/html')
  const parts = location.pathname === '/' ? ['nav', 'main', '#count'] : ['nav', '#count']
  for (const part of parts) document.querySelector(part).replaceWith(fresh.querySelector(part))
}
document.querySelector('#clear').addEventListener('click', async () => {
  await fetch('/messages', { method: 'DELETE' })
  location.href = '/'
})
setInterval(() => look().catch(() => {}), 2000)
`
