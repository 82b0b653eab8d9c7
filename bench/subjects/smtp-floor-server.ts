import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'

/** smtp-server that takes any password, for the floors; answers the port that it listens on. */
export function listenAsFloor(onData: NonNullable<SMTPServerOptions['onData']>): Promise<number> {
  const server = new PromptServer({
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    onAuth: (_auth, _session, callback) => callback(null, { user: 'anybody' }),
    onData,
  })
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.server.address() as AddressInfo).port)),
  )
}

/** It greets at once, and not after 100 ms: a core that waits for greetings is not kept busy. */
class PromptServer extends SMTPServer {
  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null) {
    const connection = new PromptConnection(this, socket, options)
    this.connections.add(connection)
    connection.on('error', (error) => this._onError(error))
    connection.on('connect', (client) => this._onClientConnect(client))
    connection.init()
  }
}

class PromptConnection extends SMTPConnection {
  /** smtp-server's timer would call it 100 ms later, and hold on to the connection for as long. */
  override init() {
    this._setListeners(() => this.connectionReady())
  }
}
