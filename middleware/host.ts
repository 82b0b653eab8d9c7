/** The Host field: as whom a client calls, by which the stream is picked. */

/** RFC 9112 §3.2, RFC 3986 §3.2.2, without escapes; never empty (RFC 9110 §4.2.1). */
const hostField = /^(\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=-]+)(?::(\d{1,5}))?$/i
const maxPort = 65_535

/** An IPv6 address has many forms, and the stream is picked by the text: only the normal one will do. */
export function isHost(text: string): boolean {
  const [, name = '', port = '0'] = hostField.exec(text) ?? []
  if (name === '' || Number(port) > maxPort) return false
  return name[0] !== '[' || URL.parse(`http://${name}`)?.hostname === name.toLowerCase()
}

/** In lower case, without port. RFC 1034 §3.1: a name may end in the dot of the root. */
export function hostName(host: string): string {
  return host.toLowerCase().replace(/\.?(:\d*)?$/, '')
}
