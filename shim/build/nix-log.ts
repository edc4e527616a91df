import type { BuildProgress } from './contract.ts'
import { createCounters } from './counters.ts'
import { Activity, Level, type NixLine, type NixMessage, parseNixLine, Result } from './nix-log-line.ts'
import { cleanText } from './text.ts'

/** What a line of nix's standard error says, as far as anybody wants to know. */
export type NixLogEntry =
  | Extract<BuildProgress, { phase: 'building' | 'fetching' }>
  /** A line of a builder's log; `derivation` is its name, empty when it is not known. */
  | { readonly phase: 'builder'; readonly derivation: string; readonly line: string }
  /** Nix's own words; an error with its place in the source, if there is one. */
  | { readonly phase: 'message'; readonly severity: 'error' | 'warning' | 'notice'; readonly text: string }
  /** Written by a program that nix runs, such as git. */
  | { readonly phase: 'foreign'; readonly line: string }

type Tracker = (line: NixLine) => NixLogEntry | undefined

/**
 * Reads what `nix --log-format internal-json` writes, one line after the other; a line may say nothing of interest.
 * Holds the activities that are under way and nothing else.
 */
export function createNixLogReader(): (line: string) => NixLogEntry | undefined {
  const trackers = [trackBuilds(), trackTransfers()]
  return text => {
    const line = parseNixLine(text)
    if (line === undefined) return readForeign(text)
    if (line.action === 'msg') return readMessage(line)
    return trackers.map(track => track(line)).find(entry => entry !== undefined)
  }
}

/** `/nix/store/<hash>-app-1.0.drv` → `app-1.0` */
export function derivationName(drvPath: string): string {
  return /\/[0-9a-z]{32}-([^/]+?)(?:\.drv)?$/.exec(drvPath)?.[1] ?? drvPath
}

function trackBuilds(): Tracker {
  const running = new Map<number, string>()
  const counters = createCounters()
  const building = (): NixLogEntry => {
    const current = [...running.values()].at(-1)
    return { phase: 'building', ...counters.total(), ...(current === undefined ? {} : { current }) }
  }
  return line => {
    if (line.action === 'stop') {
      running.delete(line.id)
      counters.stop(line.id)
    }
    if (line.action === 'start' && line.type === Activity.builds) counters.start(line.id)
    if (line.action === 'start' && line.type === Activity.build) {
      running.set(line.id, derivationName(String(line.fields[0] ?? line.text)))
      return building()
    }
    if (line.action !== 'result') return undefined
    if (line.type === Result.buildLogLine || line.type === Result.postBuildLogLine) {
      return { phase: 'builder', derivation: running.get(line.id) ?? '', line: cleanText(String(line.fields[0] ?? '')) }
    }
    return line.type === Result.progress && counters.set(line.id, line.fields) ? building() : undefined
  }
}

function trackTransfers(): Tracker {
  const counters = createCounters()
  /** What nix said that it will fetch, by activity and kind. */
  const announced = new Map<string, number>()
  const fetching = (): NixLogEntry => {
    const { done, expected } = counters.total()
    const promised = [...announced.values()].reduce((sum, bytes) => sum + bytes, 0)
    return { phase: 'fetching', doneBytes: done, expectedBytes: Math.max(expected, promised) }
  }
  return line => {
    if (line.action === 'stop') counters.stop(line.id)
    if (line.action === 'start' && isTransfer(line.type)) counters.start(line.id)
    if (line.action !== 'result') return undefined
    if (line.type === Result.progress) return counters.set(line.id, line.fields) ? fetching() : undefined
    const [kind, bytes] = line.fields
    if (line.type !== Result.setExpected || typeof bytes !== 'number' || !isTransfer(kind)) return undefined
    const key = `${line.id} ${kind}`
    if ((announced.get(key) ?? 0) === bytes) return undefined
    announced.set(key, bytes)
    return fetching()
  }
}

function isTransfer(type: unknown): boolean {
  return type === Activity.fileTransfer || type === Activity.copyPath
}
/** Nix 2.8 has these at the level of errors. */
const NO_ERROR = /^\(use '--show-trace'|^error \(ignored\):/

function readMessage(message: NixMessage): NixLogEntry | undefined {
  const text = cleanText(message.raw_msg ?? message.msg).trim()
  if (text === '' || NO_ERROR.test(text)) return undefined
  if (message.level > Level.warning) return { phase: 'message', severity: 'notice', text }
  // A daemon's warnings come at the level of errors.
  if (message.level === Level.warning || text.startsWith('warning: '))
    return { phase: 'message', severity: 'warning', text }
  return { phase: 'message', severity: 'error', text: `${text.replace(/^error: +/, '')}${describePlace(message)}` }
}

/** ` (at flake.nix:28:20)`, the path as it is inside of the flake. */
function describePlace({ file, line, column }: NixMessage): string {
  if (!file?.startsWith('/')) return ''
  const path = file.replace(/^\/nix\/store\/[0-9a-z]{32}-source\//, '')
  return / *:\d+(?::\d+)?$/.test(path) || line === null ? ` (at ${path})` : ` (at ${path}:${line}:${column ?? 1})`
}

function readForeign(text: string): NixLogEntry | undefined {
  const line = cleanText(text).trimEnd()
  return line === '' ? undefined : { phase: 'foreign', line }
}
