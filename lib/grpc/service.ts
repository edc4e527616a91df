import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type AnyDefinition, loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { GrpcError } from './grpc-error.ts'
import { STATUS } from './status.ts'

/** What a caller needs of a method. `path` is `/package.Service/Method`. */
export type Method<Request, Response> = Pick<
  MethodDefinition<Request, unknown, unknown, Response>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>

/**
 * The methods of a gRPC service that `protos/FILE` describes, by its full name. `Service` is the type that `npm run protos` has
 * generated for it, with the same options as here: 64-bit integers become numbers (sizes and counts stay far below 2^53), enums
 * their names, absent fields their default, absent messages null.
 */
export function loadService<Service extends object>(file: string, name: string): Service {
  const definitions = loadSync(file, { includeDirs: [PROTOS], longs: Number, enums: String, defaults: true })
  const definition = definitions[name]
  if (!isService<Service>(definition)) throw new Error(`${file} has no service ${name}`)
  return definition
}

const PROTOS = findProtos()

/** Sources and packaged bundles lie two levels below the top, bundles of the tests one. */
function findProtos(): string {
  const places = ['../../protos/', '../protos/'].map(place => new URL(place, import.meta.url))
  const found = places.find(place => existsSync(place))
  if (!found) throw new Error(`no protos/ above ${import.meta.url}`)
  return fileURLToPath(found)
}

function isService<Service>(definition: AnyDefinition | undefined): definition is ServiceDefinition & Service {
  return definition !== undefined && !('format' in definition)
}

/** A message inside an answer, which the server always sends. Throws a GrpcError if it is absent. */
export function requireField<Answer, Key extends keyof Answer & string>(
  { path }: { readonly path: string },
  answer: Answer,
  key: Key,
): NonNullable<Answer[Key]> {
  const value = answer[key]
  if (value === null || value === undefined)
    throw new GrpcError(path.slice(1), STATUS.UNKNOWN, `the answer has no ${key}`)
  return value
}
