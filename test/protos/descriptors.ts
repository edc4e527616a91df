import { join } from 'node:path'
import { loadSync } from '@grpc/proto-loader'
import * as v from 'valibot'

/** The wire format that a set of .proto files defines, one line each, by full name. */
export interface Described {
  /** Per message, by field number: `repeated string names`, `map<string, string> labels`, `Info info in oneof kind`. */
  readonly messages: ReadonlyMap<string, ReadonlyMap<number, string>>
  /** Per enum, by number. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<number, string>>
  /** By `package.Service/Method`: `(stream Request) returns (Response)`. */
  readonly methods: ReadonlyMap<string, string>
}

const EnumSchema = v.object({ name: v.string(), value: v.array(v.object({ name: v.string(), number: v.number() })) })
const FieldSchema = v.object({
  name: v.string(),
  number: v.number(),
  label: v.number(),
  type: v.number(),
  typeName: v.optional(v.string(), ''),
  oneofIndex: v.optional(v.number()),
})
const MessageSchema: v.GenericSchema<unknown, Message> = v.object({
  name: v.string(),
  field: v.array(FieldSchema),
  nestedType: v.array(v.lazy(() => MessageSchema)),
  enumType: v.array(EnumSchema),
  oneofDecl: v.array(v.object({ name: v.string() })),
  options: v.optional(v.object({ mapEntry: v.optional(v.boolean(), false) }), {}),
})
const MethodSchema = v.object({
  name: v.string(),
  inputType: v.string(),
  outputType: v.string(),
  clientStreaming: v.optional(v.boolean(), false),
  serverStreaming: v.optional(v.boolean(), false),
})
const FileSchema = v.object({
  name: v.string(),
  package: v.optional(v.string(), ''),
  messageType: v.array(MessageSchema),
  enumType: v.array(EnumSchema),
  service: v.array(v.object({ name: v.string(), method: v.array(MethodSchema) })),
})

type Field = v.InferOutput<typeof FieldSchema>
interface Message {
  readonly name: string
  readonly field: readonly Field[]
  readonly nestedType: readonly Message[]
  readonly enumType: readonly v.InferOutput<typeof EnumSchema>[]
  readonly oneofDecl: readonly { readonly name: string }[]
  readonly options: { readonly mapEntry: boolean }
}

/** Reads compiled .proto files (google.protobuf.FileDescriptorProto) and skips all other bytes. */
export function describe(files: readonly Uint8Array[]): Described {
  const messages = new Map<string, ReadonlyMap<number, string>>()
  const enums = new Map<string, ReadonlyMap<number, string>>()
  const methods = new Map<string, string>()
  const addEnum = (scope: string, { name, value }: v.InferOutput<typeof EnumSchema>) =>
    enums.set(`${scope}.${name}`, new Map(value.map(entry => [entry.number, entry.name])))
  const addMessage = (scope: string, message: Message) => {
    const name = `${scope}.${message.name}`
    messages.set(name, new Map(message.field.map(field => [field.number, fieldLine(field, message)])))
    for (const nested of message.nestedType) if (!nested.options.mapEntry) addMessage(name, nested)
    for (const nested of message.enumType) addEnum(name, nested)
  }
  for (const file of files.flatMap(decodeFile)) {
    for (const message of file.messageType) addMessage(file.package, message)
    for (const entry of file.enumType) addEnum(file.package, entry)
    for (const service of file.service) {
      for (const method of service.method)
        methods.set(`${file.package}.${service.name}/${method.name}`, methodLine(method))
    }
  }
  return { messages, enums, methods }
}

const REPEATED = 3
/** Numbers of FieldDescriptorProto.Type. */
const SCALARS = new Map([
  [3, 'int64'],
  [4, 'uint64'],
  [5, 'int32'],
  [8, 'bool'],
  [9, 'string'],
  [12, 'bytes'],
  [13, 'uint32'],
])

function fieldLine(field: Field, message: Message): string {
  const entry = message.nestedType.find(({ name, options }) => options.mapEntry && name === lastPart(field.typeName))
  if (entry !== undefined) return `map<${entry.field.map(typeOf).join(', ')}> ${field.name}`
  const oneof = field.oneofIndex === undefined ? undefined : message.oneofDecl[field.oneofIndex]
  const label = field.label === REPEATED ? 'repeated ' : ''
  return `${label}${typeOf(field)} ${field.name}${oneof === undefined ? '' : ` in oneof ${oneof.name}`}`
}

function typeOf({ type, typeName }: Field): string {
  return SCALARS.get(type) ?? (typeName === '' ? `type ${type}` : lastPart(typeName))
}

/** Compilers differ in how much of a type's name they write. */
function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

function methodLine({
  inputType,
  outputType,
  clientStreaming,
  serverStreaming,
}: v.InferOutput<typeof MethodSchema>): string {
  const stream = (yes: boolean) => (yes ? 'stream ' : '')
  return `(${stream(clientStreaming)}${lastPart(inputType)}) returns (${stream(serverStreaming)}${lastPart(outputType)})`
}

const decode = loadDecoder()

function decodeFile(bytes: Uint8Array): v.InferOutput<typeof FileSchema>[] {
  try {
    return [v.parse(FileSchema, decode(Buffer.from(bytes)))]
  } catch {
    return []
  }
}

function loadDecoder(): (bytes: Buffer) => object {
  const definition = loadSync(join(import.meta.dirname, 'descriptor.proto'), { arrays: true })['descriptor.File']
  if (definition === undefined || !('deserialize' in definition) || typeof definition.deserialize !== 'function')
    throw new Error('descriptor.proto has no File')
  return definition.deserialize
}
