import { readFile } from 'node:fs/promises'
import { closest, distance } from 'fastest-levenshtein'
import * as v from 'valibot'
import { parseDocument } from 'yaml'
import { hasCode } from '../../lib/error-code.ts'
import { FinalError, messageOf } from '../../lib/errors.ts'
import { configFields, configSchema } from './config-schema.ts'

/** All durations in milliseconds, all sizes in bytes. */
export type Config = v.InferOutput<typeof configSchema>

/** Reads and checks a config file in YAML or JSON. Throws ConfigInvalid, which lists every mistake with its key. */
export async function readConfig(file: string): Promise<Config> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const message = hasCode(cause, 'ENOENT')
      ? `there is no config file ${file}`
      : `cannot read the config file ${file}: ${messageOf(cause)}`
    throw new FinalError('ConfigInvalid', message, { cause })
  }
  return parseConfig(text, file)
}

/** `name` stands for the text in error messages. */
export function parseConfig(text: string, name: string): Config {
  const result = v.safeParse(configSchema, parseYaml(text, name) ?? {}, { abortEarly: false })
  if (!result.success) throw invalid(name, result.issues.flatMap(describeIssue))
  return deepFreeze(result.output)
}

function parseYaml(text: string, name: string): unknown {
  const document = parseDocument(text, { prettyErrors: true })
  if (document.errors.length > 0) throw invalid(name, document.errors.map(messageOf))
  try {
    return document.toJS()
  } catch (error) {
    // The text has an unknown alias, or one whose content is too large.
    throw invalid(name, [messageOf(error)])
  }
}

function invalid(name: string, mistakes: readonly string[]): FinalError {
  return new FinalError('ConfigInvalid', [`${name}:`, ...mistakes.map(mistake => `  ${mistake}`)].join('\n'))
}

function describeIssue(issue: v.BaseIssue<unknown>): string[] {
  const path = v.getDotPath(issue) ?? '(top level)'
  if (issue.type === 'strict_object' && issue.expected === 'never') return unknownKeys(issue)
  if (issue.type === 'strict_object' && issue.received === 'undefined') return [`${path}: missing`]
  return [`${path}: ${issue.message}`]
}

/** All unknown keys of an object: valibot reports only the first one. */
function unknownKeys(issue: v.BaseIssue<unknown>): string[] {
  const parents = issue.path?.slice(0, -1).map(({ key }) => key) ?? []
  const known = knownKeys(parents)
  const found = Object.keys(issue.path?.at(-1)?.input ?? {})
  return found
    .filter(key => !known.includes(key))
    .map(key => `${[...parents, key].join('.')}: unknown key${suggestion(key, known)}`)
}

/** Most edits between an unknown key and the known key that is suggested instead. */
const MAX_EDITS = 4

function suggestion(key: string, known: readonly string[]): string {
  const nearest = closest(key, [...known])
  const hint = distance(key, nearest) <= MAX_EDITS ? `, did you mean ${nearest}?` : ''
  return `${hint} (known: ${known.join(', ')})`
}

function knownKeys(path: readonly unknown[]): string[] {
  let current: unknown = configFields
  for (const key of path) current = child(unwrap(current), key)
  const entries = entriesOf(unwrap(current))
  return entries ? Object.keys(entries) : []
}

function child(current: unknown, key: unknown): unknown {
  if (typeof key === 'number' && hasProperty(current, 'item')) return current.item
  return entriesOf(current)?.[String(key)]
}

function unwrap(current: unknown): unknown {
  return hasProperty(current, 'wrapped') ? unwrap(current.wrapped) : current
}

function entriesOf(current: unknown): Record<string, unknown> | undefined {
  return hasProperty(current, 'entries') && typeof current.entries === 'object' ? { ...current.entries } : undefined
}

function hasProperty<Name extends string>(value: unknown, name: Name): value is Record<Name, unknown> {
  return typeof value === 'object' && value !== null && name in value
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze)
    Object.freeze(value)
  }
  return value
}
