import { readFileSync } from 'node:fs'
import * as v from 'valibot'
import { parseDocument } from 'yaml'
import { FinalError, messageOf } from '../../lib/errors.ts'

/** A name or path that must not be empty. */
export const givenText = v.pipe(v.string(), v.nonEmpty('text'))
const entries = v.nullish(v.array(v.looseObject({ name: givenText })), [])

/** Only the keys that are read here. Entries that are not used may have any content. */
const fileSchema = v.nullish(
  v.looseObject({ 'current-context': v.nullish(v.string()), contexts: entries, clusters: entries, users: entries }),
  {},
)

type Content = v.InferOutput<typeof fileSchema>

/** A context, cluster or user. */
export interface KubeconfigEntry {
  /** The file that has it: paths are relative to its folder. */
  readonly file: string
  /** For messages, such as `cluster "c"`. */
  readonly title: string
  /** With its name. */
  readonly content: object
}

/** What several files have together. */
export interface Kubeconfig {
  /** For messages. */
  readonly files: string
  readonly currentContext: string | undefined
  find(kind: EntryKind, name: string): KubeconfigEntry | undefined
}

export type EntryKind = 'context' | 'cluster' | 'user'

const LISTS = { context: 'contexts', cluster: 'clusters', user: 'users' } as const satisfies Record<EntryKind, string>

/**
 * Merges files as kubectl does: the first that has an entry of a name wins. Of several files, those that do not exist are
 * left out. Throws ConfigInvalid, whose message names the file but never quotes its content.
 */
export function readKubeconfig(files: readonly string[]): Kubeconfig {
  const contents = readAll(files).map(({ file, content }) => ({ file, content: parse(file, content) }))
  return {
    files: files.join(', '),
    currentContext: contents.map(({ content }) => content['current-context']).find(name => name) ?? undefined,
    find(kind, name) {
      const found = contents.flatMap(({ file, content }) => content[LISTS[kind]].map(content => ({ file, content })))
      const entry = found.find(({ content }) => content.name === name)
      return entry && { ...entry, title: `${kind} ${JSON.stringify(name)}` }
    },
  }
}

function readAll(files: readonly string[]): { readonly file: string; readonly content: string }[] {
  const there: { readonly file: string; readonly content: string }[] = []
  let missing: unknown
  for (const file of files) {
    try {
      there.push({ file, content: readFileSync(file, 'utf8') })
    } catch (cause) {
      const message = `cannot read the kubeconfig ${file}: ${messageOf(cause)}`
      const error = new FinalError('ConfigInvalid', message, { cause })
      if (!isMissing(cause)) throw error
      missing ??= error
    }
  }
  if (there.length === 0) throw missing
  return there
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function parse(file: string, content: string): Content {
  // Pretty errors would quote lines of the file, including tokens and keys.
  const document = parseDocument(content, { prettyErrors: false, logLevel: 'silent' })
  const [error] = document.errors
  if (error) throw invalidKubeconfig(file, `it is not YAML (${error.code} at character ${error.pos[0]})`)
  return parseParts(file, fileSchema, resolveAliases(file, document))
}

/** Errors of aliases quote their names, which may be a secret that begins with `*`. */
function resolveAliases(file: string, document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS()
  } catch {
    throw invalidKubeconfig(file, 'it has an alias that cannot be resolved')
  }
}

/** Throws ConfigInvalid, whose message names the part. */
export function parseParts<T>(file: string, schema: v.GenericSchema<unknown, T>, content: unknown, part?: string): T {
  const result = v.safeParse(schema, content)
  if (result.success) return result.output
  const [issue] = result.issues
  const expected = issue.kind === 'validation' ? issue.message : issue.expected
  const where = v.getDotPath(issue) ?? 'it'
  throw invalidKubeconfig(file, `${part === undefined ? '' : `${part}: `}${where} is missing or is not ${expected}`)
}

export function invalidKubeconfig(files: string, problem: string, cause?: unknown): FinalError {
  return new FinalError('ConfigInvalid', `the kubeconfig ${files} is not valid: ${problem}`, { cause })
}
