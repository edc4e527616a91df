import { FinalError } from '../errors.ts'
import { quoteForError } from './grammar.ts'

/** An attribute path below `packages.<system>`. */
export interface PackageName {
  /** As it was given. */
  readonly text: string
  /** The attribute names, unquoted. At least one. */
  readonly parts: readonly string[]
}

/** Longest package name, in characters. */
const MAX_LENGTH = 256

/** A plain attribute name, or a quoted one, with the dot that follows. */
const PART = /([A-Za-z0-9_][A-Za-z0-9_'+-]*|"[A-Za-z0-9_][A-Za-z0-9_'+.:@~-]*")(\.|$)/y

/** `app`, `images.web`, `images."web.v2"`. Throws `RecipeInvalid`. */
export function parsePackageName(text: string): PackageName {
  if (text === '') throw invalid('the package name is empty')
  if (text.length > MAX_LENGTH) {
    throw invalid(`the package name has ${text.length} characters, at most ${MAX_LENGTH} are allowed`)
  }
  const parts = [...matchParts(text)]
  return { text, parts }
}

function* matchParts(text: string): Generator<string> {
  const pattern = new RegExp(PART)
  for (let dot = '.'; dot !== ''; ) {
    const [, name, separator] = pattern.exec(text) ?? []
    if (name === undefined || separator === undefined) {
      throw invalid(
        `the package name ${quoteForError(text)} is not valid: it is an attribute path like app or images.web`,
      )
    }
    yield name.replaceAll('"', '')
    dot = separator
  }
}

function invalid(message: string): FinalError {
  return new FinalError('RecipeInvalid', message)
}
