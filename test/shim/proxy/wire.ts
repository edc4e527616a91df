import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { connectRaw, type RawClient } from './raw-client.ts'
import { type Peer, type PeerCall, startPeer } from './raw-peer.ts'
import { type RunningProxy, startProxy, tempFolder } from './start-proxy.ts'

export const PATH = '/example.Service/Method'
/** A method that may run twice. */
export const READ = '/runtime.v1.ImageService/ListImages'

export interface Wire {
  readonly client: RawClient
  readonly proxy: RunningProxy
  readonly peer: Peer
  /** Answers the calls that arrive at the peer. Set by each test. */
  onCall: (call: PeerCall) => void
}

/**
 * Runs a client, a proxy and an HTTP/2 server in containerd's place for each test of the file. containerd never sends most of
 * what these tests need, or not at the right moment.
 */
export function useWire(): Wire {
  const parts: Partial<Pick<Wire, 'client' | 'proxy' | 'peer'>> & Pick<Wire, 'onCall'> = { onCall() {} }
  let stack = new AsyncDisposableStack()

  beforeEach(async () => {
    const folder = stack.use(await tempFolder())
    const upstream = join(folder.dir, 'peer.sock')
    const peer = stack.use(await startPeer(upstream, call => parts.onCall(call)))
    const proxy = stack.use(await startProxy({ upstream }))
    Object.assign(parts, { peer, proxy, client: stack.use(await connectRaw(proxy.socket)) })
  })

  afterEach(async () => {
    await stack.disposeAsync()
    stack = new AsyncDisposableStack()
  })

  return {
    get client() {
      return started(parts.client)
    },
    get proxy() {
      return started(parts.proxy)
    },
    get peer() {
      return started(parts.peer)
    },
    set onCall(onCall: Wire['onCall']) {
      parts.onCall = onCall
    },
    get onCall() {
      return parts.onCall
    },
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the wire exists during tests only')
  return part
}
