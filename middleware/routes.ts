/**
 * The allow-list: a request is forwarded only when its method and its raw path are exactly those of a route. No decoding,
 * no folding of dots or slashes: a path that two servers could read differently matches nothing.
 */

export interface Route {
  readonly method: string
  /** Literal segments, or `{id}` for decimal digits. */
  readonly path: string
  readonly check: 'send' | 'batch' | 'authenticated'
}

/** The vendor's sending routes; those with an id are its sandbox. */
export const sendRoutes: readonly Route[] = [
  { method: 'POST', path: '/api/send', check: 'send' },
  { method: 'POST', path: '/api/batch', check: 'batch' },
  { method: 'POST', path: '/api/send/{id}', check: 'send' },
  { method: 'POST', path: '/api/batch/{id}', check: 'batch' },
]

export interface MatchedRoute {
  readonly route: Route
  /** The path to ask the upstream for, built from the route and the digits of its ids. */
  readonly path: string
}

export type RouteMatcher = (method: string, rawUrl: string) => MatchedRoute | undefined

/** Longer numbers are nobody's id. */
const idPattern = '([0-9]{1,19})'

export function createRouteMatcher(routes: readonly Route[]): RouteMatcher {
  const compiled = routes.map((route) => ({
    route,
    pattern: new RegExp(`^${route.path.replace(/[.]/g, '\\.').replaceAll('{id}', idPattern)}$`),
  }))

  return function matchRoute(method, rawUrl) {
    const query = rawUrl.indexOf('?')
    const rawPath = query < 0 ? rawUrl : rawUrl.slice(0, query)
    for (const { route, pattern } of compiled) {
      if (route.method !== method) continue
      const match = pattern.exec(rawPath)
      if (match === null) continue
      let group = 0
      const path = route.path.replaceAll('{id}', () => match[++group] ?? '')
      return { route, path }
    }
    return undefined
  }
}
