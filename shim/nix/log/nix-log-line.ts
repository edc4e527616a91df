import * as v from 'valibot'

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
    /** With terminal escapes, a trace and a piece of the source. */
    msg: v.string(),
    /** Without; only the error that ends nix has it. */
    raw_msg: v.optional(v.string()),
    /** From 2.20 or so with `:LINE:COLUMN` at its end. */
    file: v.fallback(v.nullish(v.string()), null),
    line: v.fallback(v.nullish(v.number()), null),
    /** Null where there is no place. Missing where nix passes on a text. */
    column: v.optional(v.fallback(v.nullable(v.number()), null)),
  }),
])

/** A line of `nix --log-format internal-json`. */
export type NixLine = v.InferOutput<typeof schema>
export type NixMessage = Extract<NixLine, { action: 'msg' }>

const PREFIX = '@nix '

/** Undefined when nix did not write it. A line that was cut says what it can. */
export function parseNixLine(text: string): NixLine | undefined {
  if (!text.startsWith(PREFIX)) return undefined
  const json = text.slice(PREFIX.length)
  const parsed = v.safeParse(schema, parseJson(json) ?? salvage(json))
  return parsed.success ? parsed.output : undefined
}

/** Nix writes the keys in the order of the alphabet: the text of a message, or of a log line, is what was cut. */
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
/** The longest path of a file, and what is around it. */
const MAX_BEFORE_TEXT = 8192

/** The JSON string whose content begins there, as far as it goes. */
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
