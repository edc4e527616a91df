import * as v from 'valibot'
import { cleanText } from '../../../lib/text/text.ts'

/** Numbers of `ActivityType` in nix's logging.hh; the same from 2.8 to 2.34. */
export const Activity = { copyPath: 100, fileTransfer: 101, builds: 104, build: 105 } as const

/** Numbers of `ResultType` there. */
export const Result = { buildLogLine: 101, progress: 105, setExpected: 106, postBuildLogLine: 107 } as const

/** Numbers of `Verbosity` there. */
export const Level = { error: 0, warning: 1 } as const

const fields = v.fallback(v.array(v.union([v.string(), v.number()])), [])

const schema = v.variant('action', [
  v.object({ action: v.literal('start'), id: v.number(), type: v.number(), text: v.fallback(v.string(), ''), fields }),
  v.object({ action: v.literal('stop'), id: v.number() }),
  v.object({ action: v.literal('result'), id: v.number(), type: v.number(), fields }),
  v.object({
    action: v.literal('msg'),
    level: v.number(),
    /** Includes terminal escapes, a trace and an excerpt of the source. */
    msg: v.string(),
    /** Plain text; only the error that ends nix has it. */
    raw_msg: v.optional(v.string()),
    /** Since about 2.20 with the suffix `:LINE:COLUMN`. */
    file: v.fallback(v.nullish(v.string()), null),
    line: v.fallback(v.nullish(v.number()), null),
    /** `null` if there is no position. Missing if nix passes on a text of others. */
    column: v.optional(v.fallback(v.nullable(v.number()), null)),
  }),
])

/** A line of `nix --log-format internal-json`. */
export type NixLine = v.InferOutput<typeof schema>
export type NixMessage = Extract<NixLine, { action: 'msg' }>

const PREFIX = '@nix '

/** Returns undefined if nix did not write the line. Of a truncated line, the available part is parsed. */
export function parseNixLine(text: string): NixLine | undefined {
  if (!text.startsWith(PREFIX)) return undefined
  const json = text.slice(PREFIX.length)
  const parsed = v.safeParse(schema, parseJson(json) ?? salvage(json))
  return parsed.success ? parsed.output : undefined
}

/** Nix writes the keys in alphabetical order, so it is the text of a message or log line that was truncated. */
function salvage(json: string): unknown {
  if (json.startsWith(LOG_LINE))
    return { action: 'result', id: 0, type: Result.buildLogLine, fields: [readCut(json, LOG_LINE.length)] }
  if (!json.startsWith('{"action":"msg",')) return undefined
  const before = json.slice(0, MAX_BEFORE_TEXT)
  const at = before.indexOf(TEXT)
  const level = /"level":(\d),/.exec(before.slice(0, at))?.[1]
  if (at < 0 || level === undefined) return undefined
  const place = before.startsWith('{"action":"msg","column":') ? { column: null } : {}
  return { action: 'msg', level: Number(level), msg: readCut(json, at + TEXT.length), ...place }
}

const LOG_LINE = '{"action":"result","fields":["'
const TEXT = '"msg":"'
/** Length of the longest file path and the other keys before the text. */
const MAX_BEFORE_TEXT = 8192

/** Parses the JSON string that starts there, up to its end or to where it was truncated. */
function readCut(json: string, from: number): unknown {
  let end = from
  while (end < json.length && json[end] !== '"') {
    const length = json[end] !== '\\' ? 1 : json[end + 1] === 'u' ? 6 : 2
    if (end + length > json.length) break
    end += length
  }
  return parseJson(`"${json.slice(from, end)}"`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

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
