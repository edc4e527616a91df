import { cleanText, copyStart } from '../../../lib/text/text.ts'
import { createAnnouncedTransfers, createCounters, createRunningBuilds, isCount, isTransfer } from './activities.ts'
import type { BuildProgress } from './build-progress.ts'
import { Activity, type NixLine, type NixWords, parseNixLine, Result, readMessage } from './nix-log-line.ts'

/** The relevant content of a line of nix's standard error. */
export type NixLogEntry =
  | Extract<BuildProgress, { phase: 'building' | 'fetching' }>
  /** A line of a builder's log; `derivation` is the name, empty if unknown. */
  | { readonly phase: 'builder'; readonly derivation: string; readonly line: string }
  | NixWords
  /** A line of a program that nix runs, such as git. */
  | { readonly phase: 'foreign'; readonly line: string }

type Tracker = (line: NixLine) => NixLogEntry | undefined

/**
 * Reads the output of `nix --log-format internal-json` line by line; irrelevant lines give undefined. Only running activities are
 * kept in memory.
 */
export function createNixLogReader(): (line: string) => NixLogEntry | undefined {
  const trackers = [trackBuilds(), trackTransfers()]
  return text => {
    const line = parseNixLine(text)
    if (line === undefined) return readProgramLine(text)
    if (line.action === 'msg') return readMessage(line)
    return trackers.map(track => track(line)).find(entry => entry !== undefined)
  }
}

/** `/nix/store/<hash>-app-1.0.drv` → `app-1.0` */
export function derivationName(drvPath: string): string {
  return /\/[0-9a-z]{32}-([^/]+?)(?:\.drv)?$/.exec(drvPath)?.[1] ?? drvPath
}

function trackBuilds(): Tracker {
  const running = createRunningBuilds()
  const counters = createCounters()
  /** A failed build removes its counts, so that nothing may be left to report. */
  const building = (): NixLogEntry | undefined => {
    const [current, counts] = [running.latest(), counters.total()]
    if (current === undefined && counts.expected === 0) return undefined
    return { phase: 'building', ...counts, ...(current === undefined ? {} : { current }) }
  }
  return line => {
    if (line.action === 'stop') {
      running.stop(line.id)
      counters.stop(line.id)
    }
    if (line.action === 'start' && line.type === Activity.builds) counters.start(line.id)
    if (line.action === 'start' && line.type === Activity.build) {
      running.start(line.id, readName(line))
      return building()
    }
    if (line.action !== 'result') return undefined
    if (line.type === Result.buildLogLine || line.type === Result.postBuildLogLine) {
      return {
        phase: 'builder',
        derivation: running.name(line.id) ?? '',
        line: cleanText(String(line.fields[0] ?? '')),
      }
    }
    return line.type === Result.progress && counters.set(line.id, line.fields) ? building() : undefined
  }
}

/** Longest name of a store path. */
const MAX_NAME_LENGTH = 211

function readName({ fields, text }: Extract<NixLine, { action: 'start' }>): string {
  return copyStart(cleanText(derivationName(String(fields[0] ?? text))), MAX_NAME_LENGTH)
}

function trackTransfers(): Tracker {
  const counters = createCounters()
  const announced = createAnnouncedTransfers()
  const fetching = (): NixLogEntry => {
    const { done, expected } = counters.total()
    return { phase: 'fetching', doneBytes: done, expectedBytes: Math.max(expected, announced.total()) }
  }
  return line => {
    if (line.action === 'stop') {
      counters.stop(line.id)
      announced.stop(line.id)
    }
    if (line.action === 'start' && isTransfer(line.type)) counters.start(line.id)
    if (line.action !== 'result') return undefined
    if (line.type === Result.progress) return counters.set(line.id, line.fields) ? fetching() : undefined
    const [kind, bytes] = line.fields
    if (line.type !== Result.setExpected || !isCount(bytes) || !isTransfer(kind)) return undefined
    return announced.set(line.id, kind, bytes) ? fetching() : undefined
  }
}

function readProgramLine(text: string): NixLogEntry | undefined {
  const line = cleanText(text).trimEnd()
  return line === '' ? undefined : { phase: 'foreign', line }
}
