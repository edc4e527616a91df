import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader'
import { loadSync } from '@grpc/proto-loader'

/** Sources lie one folder below the package, what is compiled two. */
const PROTO_DIR = ['../protos/', '../../protos/']
  .map(relative => fileURLToPath(new URL(relative, import.meta.url)))
  .find(folder => existsSync(folder))

/**
 * A gRPC service of `protos/FILE`, by its full name. 64-bit integers become numbers (sizes and counts stay far below
 * 2^53), absent fields their default, absent messages null.
 */
export function loadService(file: string, service: string): ServiceDefinition {
  const definitions = loadSync(file, {
    includeDirs: PROTO_DIR ? [PROTO_DIR] : [],
    longs: Number,
    enums: String,
    defaults: true,
  })
  const definition = definitions[service]
  if (!definition || 'format' in definition) throw new Error(`${file} has no service ${service}`)
  return definition
}

/** One method of a service. */
export function methodOf(service: ServiceDefinition, name: string): MethodDefinition<object, object> {
  const method = service[name]
  if (!method) throw new Error(`no method ${name}`)
  return method
}
