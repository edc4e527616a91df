import { fileURLToPath } from 'node:url'
import { loadSync, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader'
import { packageFile } from '../package-file.ts'

/**
 * A gRPC service that `protos/FILE` describes, by its full name. 64-bit integers become numbers (sizes and counts stay
 * far below 2^53), absent fields their default, absent messages null.
 */
export function loadService(file: string, service: string): ServiceDefinition {
  const definitions = loadSync(file, { includeDirs: [PROTOS], longs: Number, enums: String, defaults: true })
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

const PROTOS = fileURLToPath(packageFile('protos/'))
