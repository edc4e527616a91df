/** How many beginnings of the pattern are tried. */
const MAX_STARTS = 4
const MAX_REPETITIONS = 16_384
/** Limit for some hundred kilobytes. A linear pattern takes a hundredth of it. */
const LIMIT_MS = 40

/** A text whose repetition takes the pattern more than linear time, or undefined if no text of its own parts does. */
export function findSlowInput(pattern: RegExp): string | undefined {
  const { runs, atoms } = partsOf(pattern.source)
  for (const start of ['', ...runs.slice(0, MAX_STARTS)]) {
    for (const pump of new Set([...runs, ...atoms, runs.join('')])) {
      if (pump === '') continue
      if (isSlow(pattern, start, pump)) return `${JSON.stringify(start)} + ${JSON.stringify(pump)} × n`
    }
  }
  return undefined
}

/** An end that makes the match fail. */
const END = '\u0001'

/** Grows slowly at first, so that an exponential pattern is found without a long wait. */
function isSlow(pattern: RegExp, start: string, pump: string): boolean {
  for (let count = 8; count <= MAX_REPETITIONS; count = count < 64 ? count + 2 : count * 4) {
    const text = start + pump.repeat(count) + END
    if (cpuMs(pattern, text) > LIMIT_MS && cpuMs(pattern, text) > LIMIT_MS) return true
  }
  return false
}

/** Processor time of this process, which other load on the machine does not change. */
function cpuMs(pattern: RegExp, text: string): number {
  const before = process.cpuUsage()
  pattern.lastIndex = 0
  if (pattern.global) text.replace(pattern, '')
  else pattern.exec(text)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

interface Parts {
  /** The parts of the pattern between its groups, alternatives and repetitions. */
  readonly runs: readonly string[]
  /** One character for each of its literals and classes. */
  readonly atoms: readonly string[]
}

const TOKEN =
  /\\[pP]\{[^}]*\}|\\u\{[0-9a-fA-F]+\}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\k<\w+>|\\.|\[(?:[^\]\\]|\\.)*\]|\((?:\?(?:[:=!]|<[=!]|<\w+>))?|\)|\||[*+?]\??|\{\d+(?:,\d*)?\}\??|[\s\S]/g

function partsOf(source: string): Parts {
  const runs: string[] = []
  const atoms = new Set<string>()
  let run = ''
  for (const [token] of source.matchAll(TOKEN)) {
    if (/^(?:\^|\$|\\[bB]|\\k<.*)$/.test(token)) continue
    if (/^(?:\(|\)|\||[*+?]|\{\d)/.test(token)) {
      runs.push(run)
      run = ''
      continue
    }
    const sample = sampleOf(token)
    atoms.add(sample)
    run += sample
  }
  runs.push(run)
  return { runs: [...new Set(runs)].filter(text => text !== ''), atoms: [...atoms] }
}

const CANDIDATES = [
  ...'a0 x-_./:@\'"n\n\u0002é',
  ...Array.from({ length: 95 }, (_, code) => String.fromCharCode(32 + code)),
]

function sampleOf(token: string): string {
  if (token.length === 1) return token === '.' ? 'x' : token
  const matches = new RegExp(`^(?:${token})$`, token.startsWith('\\p') || token.startsWith('\\P') ? 'u' : '')
  return CANDIDATES.find(candidate => matches.test(candidate)) ?? 'x'
}
