import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type AnyDefinition, type EnumTypeDefinition, loadSync, type MessageTypeDefinition } from '@grpc/proto-loader'
import { expect, describe as group, test } from 'vitest'
import { UNPACKED } from '../node/programs.ts'
import { describe } from './descriptors.ts'
import { embeddedProtoFiles } from './embedded-files.ts'

const PROTOS = join(import.meta.dirname, '../../protos')
const CONTAINERD = [join(UNPACKED, 'usr/bin/containerd'), '/usr/bin/containerd'].find(path => existsSync(path)) ?? ''
/** `enbi.proto` is the shim's own service. */
const OURS = readdirSync(PROTOS).filter(name => name.endsWith('.proto') && name !== 'enbi.proto')

const theirs = describe(embeddedProtoFiles(CONTAINERD))

group.each([...OURS.map(name => join(PROTOS, name)), join(import.meta.dirname, 'cri.proto')])('%s', file => {
  const definitions = compile(file)
  const ours = describe(definitions.flatMap(({ files }) => files))

  test('has a description of every type', () => {
    const names = definitions.map(({ name }) => name)
    expect([...ours.messages.keys(), ...ours.enums.keys()]).toEqual(expect.arrayContaining(names))
    expect(ours.messages.size).toBeGreaterThan(0)
  })

  test.each([...ours.messages])('defines the fields of %s as containerd does', (name, fields) => {
    expect(pick(theirs.messages.get(name), fields)).toEqual(Object.fromEntries(fields))
  })

  test.each([...ours.enums])('defines the values of %s as containerd does', (name, values) => {
    expect(pick(theirs.enums.get(name), values)).toEqual(Object.fromEntries(values))
  })

  test.each([...ours.methods])('defines the method %s as containerd does', (name, signature) => {
    expect(theirs.methods.get(name)).toBe(signature)
  })
})

function compile(file: string): Definition[] {
  return Object.entries(loadSync(file, { keepCase: true, includeDirs: [PROTOS] })).flatMap(([name, definition]) =>
    // Google's types come from proto-loader. A definition without a format is a service.
    name.startsWith('google.protobuf.') || !isType(definition)
      ? []
      : [{ name, files: definition.fileDescriptorProtos }],
  )
}

interface Definition {
  readonly name: string
  readonly files: readonly Buffer[]
}

function isType(definition: AnyDefinition): definition is MessageTypeDefinition<object, object> | EnumTypeDefinition {
  return 'format' in definition && typeof definition.format === 'string'
}

function pick(all: ReadonlyMap<number, string> | undefined, wanted: ReadonlyMap<number, string>): object | undefined {
  return all && Object.fromEntries([...all].filter(([number]) => wanted.has(number)))
}
