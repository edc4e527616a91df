import { FinalError } from '../lib/errors.ts'
import { quoteForError } from './grammar.ts'

/** An attribute path of a flake's outputs. */
export interface PackageName {
  /** The original text. */
  readonly text: string
  /** The attribute names, unquoted; at least one. */
  readonly parts: readonly string[]
  /** Whether the path is complete. If not, it is below `packages.<system>` or `legacyPackages.<system>`. */
  readonly isFull: boolean
}

/** In characters. */
const MAX_LENGTH = 256

/** A plain or quoted attribute name with the dot that follows. */
const PART = /([A-Za-z0-9_][A-Za-z0-9_'+-]*|"[A-Za-z0-9_][A-Za-z0-9_'+.:@~-]*")(\.|$)/y

/** Parses `app`, `images.web`, `images."web.v2"` or `.containers.x86_64-linux.web`. Throws `RecipeInvalid`. */
export function parsePackageName(text: string): PackageName {
  if (text === '') throw invalid('the package name is empty')
  if (text.length > MAX_LENGTH) {
    throw invalid(`the package name has ${text.length} characters, at most ${MAX_LENGTH} are allowed`)
  }
  const isFull = text.startsWith('.')
  return { text, parts: [...matchParts(text, isFull ? 1 : 0)], isFull }
}

/** Like `parsePackageName`, but rejects full paths. */
export function parseNameInSet(text: string): PackageName {
  const name = parsePackageName(text)
  if (name.isFull) throw invalid(`the package name ${quoteForError(text)} must not begin with a dot`)
  return name
}

function* matchParts(text: string, start: number): Generator<string> {
  const pattern = new RegExp(PART)
  pattern.lastIndex = start
  for (let dot = '.'; dot !== ''; ) {
    const [, name, separator] = pattern.exec(text) ?? []
    if (name === undefined || separator === undefined) {
      throw invalid(
        `the package name ${quoteForError(text)} is not valid: expected an attribute path like app or images.web, or a full one like .containers.x86_64-linux.web`,
      )
    }
    yield name.replaceAll('"', '')
    dot = separator
  }
}

function invalid(message: string): FinalError {
  return new FinalError('RecipeInvalid', message)
}
