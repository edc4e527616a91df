import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { loadSync, type PackageDefinition } from '@grpc/proto-loader'
import { type GenericSchema, type InferOutput, parse } from 'valibot'

/** Calls methods by their path, such as `/runtime.v1.ImageService/PullImage`. */
export interface GrpcClient extends Disposable {
  readonly call: UnaryCaller
}

type UnaryCaller = <Schema extends GenericSchema>(
  path: string,
  request: object,
  answer: Schema,
  options?: CallOptions,
) => Promise<InferOutput<Schema>>

export interface CallOptions {
  /** Cancels the call. */
  readonly signal?: AbortSignal | undefined
  /** Deadline, by default two minutes as in the kubelet. With 0 there is none. */
  readonly limitMs?: number
}

const DEADLINE_MS = 120_000
/** The limit of the kubelet and containerd. */
const MESSAGE_LIMIT = 16 << 20

/** A client for the services of a .proto file on a unix socket. Rejections are grpc-js's ServiceError. */
export function connectGrpc(socket: string, protoFile: string): GrpcClient {
  const methods = methodsOf(loadSync(protoFile, { longs: Number, enums: String, defaults: true }))
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_LIMIT,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 250,
    'grpc.use_local_subchannel_pool': 1,
  })
  const call: UnaryCaller = (path, request, answer, { signal, limitMs = DEADLINE_MS } = {}) => {
    const method = methods.get(path)
    if (method === undefined) throw new Error(`${protoFile} has no ${path}`)
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const options = limitMs === 0 ? {} : { deadline: Date.now() + limitMs }
      const running = client.makeUnaryRequest(path, method.serialize, method.deserialize, request, options, settle)
      const cancel = () => running.cancel()
      signal?.addEventListener('abort', cancel, { once: true })
      function settle(error: ServiceError | null, value?: object) {
        signal?.removeEventListener('abort', cancel)
        if (error) reject(error)
        else resolve(parse(answer, value))
      }
    })
  }
  return {
    call,
    [Symbol.dispose]: () => client.close(),
  }
}

interface Method {
  readonly serialize: (message: object) => Buffer
  readonly deserialize: (bytes: Buffer) => object
}

function methodsOf(definition: PackageDefinition): ReadonlyMap<string, Method> {
  const methods = new Map<string, Method>()
  for (const service of Object.values(definition)) {
    if ('format' in service) continue // a message or an enum
    for (const { path, requestSerialize, responseDeserialize } of Object.values(service)) {
      methods.set(path, { serialize: requestSerialize, deserialize: responseDeserialize })
    }
  }
  return methods
}
