import { setBounded } from '../../../lib/queues/set-bounded.ts'
import { maskSecrets } from '../../../lib/text/mask-secrets.ts'
import { copyStart, pushBounded } from '../../../lib/text/text.ts'
import type { BuildProgress } from './build-progress.ts'
import { createNixLogReader } from './nix-log.ts'
import type { RunLog } from './run-log-file.ts'

export interface NixError {
  readonly text: string
  /** Whether nix itself reported it; others may have written the rest. */
  readonly own: boolean
}

/** What is remembered of the output of nix for error messages. Everything is bounded. */
export interface NixOutput {
  /** Takes a line of nix's standard error. As slow as the log file. */
  read(line: string): Promise<void>
  /** The last error messages, oldest first. */
  readonly errors: readonly NixError[]
  /** Settings that nix reported as ignored. */
  readonly ignored: readonly string[]
  /** The last lines that other programs, such as git, wrote to nix's standard error, without text from servers. */
  readonly foreign: readonly string[]
  /** The last lines of a builder's log; by default of the builder that wrote last. */
  builderTail(derivation?: string): readonly string[]
}

const MAX_TAIL_LINES = 20
const MAX_TAIL_LINE_LENGTH = 500
/** Longest line that is reported as progress; the log file has the whole line. */
const MAX_PROGRESS_LINE_LENGTH = 4096
/** The last one ended nix; the one before may be its cause. */
const MAX_ERRORS = 20
const MAX_ERROR_LENGTH = 16_384
const MAX_IGNORED = 5
/** Builders whose last lines are remembered. */
const MAX_BUILDERS = 64

export function createNixOutput(log: RunLog, onProgress: (progress: BuildProgress) => void): NixOutput {
  const readNixLog = createNixLogReader()
  const errors: NixError[] = []
  const ignored: string[] = []
  const foreign: string[] = []
  const tails = new Map<string, string[]>()

  const remember = (derivation: string, line: string) => {
    const tail = tails.get(derivation) ?? []
    setBounded(tails, derivation, pushBounded(tail, copyTail(line), MAX_TAIL_LINES), MAX_BUILDERS)
  }
  const readBuilderLine = (derivation: string, line: string) => {
    remember(derivation, line)
    onProgress({ phase: 'log', line: copyStart(line, MAX_PROGRESS_LINE_LENGTH) })
    return log.write(`${derivation}> ${line}`)
  }
  return {
    errors,
    ignored,
    foreign,
    builderTail: derivation => (derivation === undefined ? [...tails.values()].at(-1) : tails.get(derivation)) ?? [],
    async read(line) {
      const entry = readNixLog(line)
      switch (entry?.phase) {
        case 'builder':
          return readBuilderLine(entry.derivation, maskSecrets(entry.line))
        case 'message':
          if (entry.severity === 'error')
            pushBounded(
              errors,
              { text: copyStart(maskSecrets(entry.text), MAX_ERROR_LENGTH), own: entry.own },
              MAX_ERRORS,
            )
          if (entry.severity === 'warning') noteIgnored(ignored, entry.text)
          return log.write(`${entry.severity}: ${entry.text}`)
        case 'foreign':
          if (!entry.line.startsWith(OF_SERVER)) pushBounded(foreign, copyTail(maskSecrets(entry.line)), MAX_TAIL_LINES)
          return log.write(entry.line)
        case 'building':
        case 'fetching':
          return onProgress(entry)
      }
    },
  }
}

/** Prefix of server output that git repeats. */
const OF_SERVER = 'remote:'

/** Texts of a client about itself, and of a daemon about its client. */
const IGNORED = /^(?:warning: )?(ignoring (?:untrusted substituter|the client-specified setting) .{1,300})/

function noteIgnored(ignored: string[], text: string): void {
  const [, words] = IGNORED.exec(text) ?? []
  if (words !== undefined && !ignored.includes(words)) pushBounded(ignored, copyTail(words), MAX_IGNORED)
}

function copyTail(line: string): string {
  return copyStart(line, MAX_TAIL_LINE_LENGTH)
}
