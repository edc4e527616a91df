import type { MethodDefinition } from '@grpc/proto-loader'
import * as v from 'valibot'
import { GrpcError } from './grpc-error.ts'
import { loadService as loadProtoService, methodOf } from './load-protos.ts'
import { STATUS } from './status.ts'

/** A method with the types of its messages. `decode` throws when an answer is not of the expected form. */
export interface Method<Request extends object, Response> {
  /** `/package.Service/Method` */
  readonly path: string
  readonly encode: (request: Request) => Buffer
  readonly decode: (bytes: Buffer) => Response
}

/** Maker of the typed methods of one service that `protos/<file>` describes. */
export function loadService(file: string, service: string) {
  const definition = loadProtoService(file, service)
  return <Request extends object, Schema extends v.GenericSchema>(
    name: string,
    answer: Schema,
  ): Method<Request, v.InferOutput<Schema>> => typed(methodOf(definition, name), answer)
}

function typed<Request extends object, Schema extends v.GenericSchema>(
  { path, requestSerialize, responseDeserialize }: MethodDefinition<object, object>,
  answer: Schema,
): Method<Request, v.InferOutput<Schema>> {
  return { path, encode: requestSerialize, decode: bytes => parseAnswer(path, answer, responseDeserialize(bytes)) }
}

function parseAnswer<Schema extends v.GenericSchema>(
  path: string,
  schema: Schema,
  answer: object,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, answer)
  if (result.success) return result.output
  const [issue] = result.issues
  const detail = `unexpected answer: ${v.getDotPath(issue) ?? ''} ${issue.message}`
  throw new GrpcError(path.slice(1), STATUS.UNKNOWN, detail)
}
