import { cleanText } from '../../../lib/text/text.ts'
import { Level, type NixMessage } from './nix-log-line.ts'

/** Nix's own words, or what it passes on as such; an error with its place in the source, if there is one. */
export type NixWords =
  | { readonly phase: 'message'; readonly severity: 'warning' | 'notice'; readonly text: string }
  | {
      readonly phase: 'message'
      readonly severity: 'error'
      readonly text: string
      /** An error of nix itself. A builder, or an evaluated `builtins.trace`, can write every other message at this level. */
      readonly own: boolean
    }

/** Undefined when the message says nothing. */
export function readMessage(message: NixMessage): NixWords | undefined {
  const text = cleanText(message.raw_msg ?? message.msg).trim()
  if (text === '') return undefined
  if (message.level > Level.warning) return { phase: 'message', severity: 'notice', text }
  if (message.level === Level.warning) return readWarning(text)
  if (isOwn(message)) return { ...readError(message, text), own: true }
  if (NOTES.some(start => text.startsWith(start))) return undefined
  if (text.startsWith(WARNING)) return readWarning(text)
  if (text.startsWith('trace: ')) return { phase: 'message', severity: 'notice', text }
  return readError(message, text)
}

const WARNING = 'warning:'

/** Its own have that word before them already, and those that a daemon passes on twice. */
function readWarning(text: string): NixWords {
  let words = text
  while (words.startsWith(WARNING)) words = words.slice(WARNING.length).trimStart()
  return { phase: 'message', severity: 'warning', text: words }
}

/** What nix logs as text, as it does with all that it passes on, has but a level (JSONLogger in logging.cc, 2.8 to 2.34). */
function isOwn({ raw_msg, column }: NixMessage): boolean {
  return raw_msg !== undefined || column !== undefined
}

/** Nix has these at the level of errors; and a daemon's warnings, and `builtins.trace`. */
const NOTES = ["(use '--show-trace'", 'error (ignored):']

function readError(message: NixMessage, text: string) {
  const words = text.startsWith(TITLE) ? text.slice(TITLE.length).trimStart() : text
  return { phase: 'message', severity: 'error', own: false, text: `${words}${describePlace(message)}` } as const
}

const TITLE = 'error:'

const MAX_PATH_LENGTH = 512

/** ` (at flake.nix:28:20)`, the path as it is inside of the flake. */
function describePlace({ file, line, column }: NixMessage): string {
  if (!file?.startsWith('/')) return ''
  const path = cleanText(file.slice(0, MAX_PATH_LENGTH)).replace(/^\/nix\/store\/[0-9a-z]{32}-source\//, '')
  return /:\d{1,9}(?::\d{1,9})?$/.test(path) || line === null ? ` (at ${path})` : ` (at ${path}:${line}:${column ?? 1})`
}
