import { connect, createServer, type Server, type Socket } from 'node:net'
import { type ListenAddress, listen } from '../../src/sink/listen.ts'

/** The network between two parts: it can be cut without either of them being told, and be mended again. */
export interface Line {
  /** Where its near end listens, on the loopback interface. */
  readonly port: number
  /** From now on nothing gets through, either way; connections seem to be made, and stay. */
  cut(): void
  /** What was held up gets through. */
  mend(): void
  /** Ends all connections and accepts none, as when nothing listens at the far end. */
  refuse(): Promise<void>
  accept(): Promise<void>
  /** Connections made from now on go to another far end. */
  lead(target: ListenAddress): void
  close(): Promise<void>
}

export async function createLine(firstTarget: ListenAddress): Promise<Line> {
  let target = firstTarget
  let isCut = false
  let server: Server
  let port = 0
  const pairs = new Set<Pair>()

  async function accept() {
    server = createServer({ pauseOnConnect: true, noDelay: true }, (near) => {
      const far = connect({ ...target, noDelay: true })
      const pair = { near, far }
      pairs.add(pair)
      for (const end of [near, far]) {
        end.on('error', () => {})
        end.on('close', () => {
          if (!isCut) drop(pair)
        })
      }
      if (!isCut) join(pair)
    })
    port = await listen(server, { host: '127.0.0.1', port })
  }

  function drop(pair: Pair) {
    pair.near.destroy()
    pair.far.destroy()
    pairs.delete(pair)
  }

  async function refuse() {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const pair of [...pairs]) drop(pair)
    await closed
  }

  await accept()
  return {
    port,
    cut() {
      isCut = true
      for (const pair of pairs) part(pair)
    },
    mend() {
      isCut = false
      for (const pair of [...pairs]) {
        if (pair.near.destroyed || pair.far.destroyed) drop(pair)
        else join(pair)
      }
    },
    refuse,
    accept,
    lead(next) {
      target = next
    },
    close: refuse,
  }
}

interface Pair {
  readonly near: Socket
  readonly far: Socket
}

function join({ near, far }: Pair) {
  near.pipe(far)
  far.pipe(near)
}

function part({ near, far }: Pair) {
  near.unpipe(far)
  far.unpipe(near)
  near.pause()
  far.pause()
}
