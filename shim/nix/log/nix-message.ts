import { cleanText } from '../../../lib/text/text.ts'
import { Level, type NixMessage } from './nix-log-line.ts'

/** A message of nix, or one that it passes on. An error includes its position in the source, if known. */
export type NixWords =
  | { readonly phase: 'message'; readonly severity: 'warning' | 'notice'; readonly text: string }
  | {
      readonly phase: 'message'
      readonly severity: 'error'
      readonly text: string
      /** Whether nix itself reported the error. Builders and `builtins.trace` can write all other messages of this level. */
      readonly own: boolean
    }

/** Returns undefined if the message is empty or only a hint. */
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

/** Nix's own warnings contain the prefix once, those that a daemon passes on twice. */
function readWarning(text: string): NixWords {
  let words = text
  while (words.startsWith(WARNING)) words = words.slice(WARNING.length).trimStart()
  return { phase: 'message', severity: 'warning', text: words }
}

/** Text that nix passes on is logged with only a level (JSONLogger in logging.cc, 2.8 to 2.34). */
function isOwn({ raw_msg, column }: NixMessage): boolean {
  return raw_msg !== undefined || column !== undefined
}

/** Nix logs these as errors, like a daemon's warnings and `builtins.trace`. */
const NOTES = ["(use '--show-trace'", 'error (ignored):']

function readError(message: NixMessage, text: string) {
  const words = text.startsWith(TITLE) ? text.slice(TITLE.length).trimStart() : text
  return { phase: 'message', severity: 'error', own: false, text: `${words}${describePlace(message)}` } as const
}

const TITLE = 'error:'

const MAX_PATH_LENGTH = 512

/** ` (at flake.nix:28:20)`, with the path relative to the flake. */
function describePlace({ file, line, column }: NixMessage): string {
  if (!file?.startsWith('/')) return ''
  const path = cleanText(file.slice(0, MAX_PATH_LENGTH)).replace(/^\/nix\/store\/[0-9a-z]{32}-source\//, '')
  return /:\d{1,9}(?::\d{1,9})?$/.test(path) || line === null ? ` (at ${path})` : ` (at ${path}:${line}:${column ?? 1})`
}
