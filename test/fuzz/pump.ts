/** Beginnings that are tried, of those that the pattern has. */
const MAX_STARTS = 4
const MAX_REPETITIONS = 16_384
/** For some hundred kilobytes; what is linear takes a hundredth. */
const LIMIT_MS = 40

/** The text, repeated, that the pattern takes more than linear time for; undefined when none of its own parts is such. */
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

/** Ends what matches so far in a way that it cannot. */
const END = '\u0001'

/** Grows slowly at first, so that an exponential pattern is found out and not waited for. */
function isSlow(pattern: RegExp, start: string, pump: string): boolean {
  for (let count = 8; count <= MAX_REPETITIONS; count = count < 64 ? count + 2 : count * 4) {
    const text = start + pump.repeat(count) + END
    if (cpuMs(pattern, text) > LIMIT_MS && cpuMs(pattern, text) > LIMIT_MS) return true
  }
  return false
}

/** Time of this process, whatever else the machine does. */
function cpuMs(pattern: RegExp, text: string): number {
  const before = process.cpuUsage()
  pattern.lastIndex = 0
  if (pattern.global) text.replace(pattern, '')
  else pattern.exec(text)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

interface Parts {
  /** What the pattern is made of between its groups, alternatives and repetitions. */
  readonly runs: readonly string[]
  /** A character for each of its literals and classes. */
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
