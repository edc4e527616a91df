import { GrammarError } from '../build/grammar.ts'
import { quote } from '../quote.ts'
import { splitReference } from '../reference.ts'
import { STORE_PATH_HOST } from '../store-path.ts'
import { FLAKE_NAME_HOSTS } from './flake-name.ts'
import { TAG_CAPTURE } from './name-template.ts'

/** Which image names a rule is for: `registry.example/team/{name}`, `registry.example/team/app:1.0`. */
export interface NamePattern {
  readonly text: string
  readonly host: string
  readonly segments: readonly PatternSegment[]
  /** Missing: any tag. */
  readonly tag?: string | undefined
}

/** A segment of the path: as it is written, or whatever stands there, under a name. */
export type PatternSegment = { readonly literal: string } | { readonly capture: string }

const CAPTURE = /^\{([a-z][A-Za-z0-9]{0,31})\}$/

/** Throws GrammarError, also when no image can have such a name. */
export function parseNamePattern(text: string): NamePattern {
  const { path, tag } = splitTag(text)
  const [host = '', ...parts] = path.split('/')
  if (/[{}]/.test(host)) throw new GrammarError('its host must be spelled out')
  if (host === STORE_PATH_HOST || FLAKE_NAME_HOSTS.includes(host))
    throw new GrammarError(`names of ${quote(host)} are recipes by themselves`)
  const segments = parts.map(parseSegment)
  const captures = capturesOf({ segments })
  if (new Set(captures).size < captures.length) throw new GrammarError('it captures two segments under one name')
  requireReference([host, ...segments.map(sampleOf)].join('/'), tag)
  return { text, host, segments, ...(tag !== undefined && { tag }) }
}

export function capturesOf({ segments }: Pick<NamePattern, 'segments'>): string[] {
  return segments.flatMap(segment => ('capture' in segment ? [segment.capture] : []))
}

/** What the pattern captures of a path; undefined when it does not match. The host is compared already. */
export function matchPath(
  { segments, tag: wanted }: NamePattern,
  path: readonly string[],
  tag: string,
): ReadonlyMap<string, string> | undefined {
  if (segments.length !== path.length || (wanted !== undefined && wanted !== tag)) return undefined
  if (!segments.every((segment, at) => 'capture' in segment || segment.literal === path[at])) return undefined
  return new Map(segments.flatMap((segment, at) => ('capture' in segment ? [[segment.capture, path[at] ?? '']] : [])))
}

/** Whether every image that `other` is for is one that `pattern` is for. */
export function covers(pattern: NamePattern, other: NamePattern): boolean {
  return (
    isAlike(pattern, other) &&
    (pattern.tag === undefined || pattern.tag === other.tag) &&
    pattern.segments.every((segment, at) => 'capture' in segment || segment.literal === literalAt(other, at))
  )
}

/** An image that both are for. */
export function commonImage(one: NamePattern, other: NamePattern): string | undefined {
  if (!isAlike(one, other)) return undefined
  const tag = one.tag ?? other.tag
  if (other.tag !== undefined && other.tag !== tag) return undefined
  const path: string[] = []
  for (const at of one.segments.keys()) {
    const [mine, theirs] = [literalAt(one, at), literalAt(other, at)]
    if (mine !== undefined && theirs !== undefined && mine !== theirs) return undefined
    path.push(mine ?? theirs ?? SAMPLE)
  }
  return `${one.host}/${path.join('/')}${tag === undefined ? '' : `:${tag}`}`
}

const SAMPLE = 'x'

function splitTag(text: string): { readonly path: string; readonly tag?: string | undefined } {
  const at = text.indexOf(':', text.lastIndexOf('/'))
  if (at < 0) return { path: text }
  const tag = text.slice(at + 1)
  return { path: text.slice(0, at), ...(tag !== `{${TAG_CAPTURE}}` && { tag }) }
}

function parseSegment(text: string): PatternSegment {
  if (!/[{}]/.test(text)) return { literal: text }
  const [, capture] = CAPTURE.exec(text) ?? []
  if (capture === undefined)
    throw new GrammarError(`${quote(text)} is no capture, which is a whole segment like {name}`)
  if (capture === TAG_CAPTURE) throw new GrammarError('{tag} stands for the tag, and for no segment')
  return { capture }
}

function sampleOf(segment: PatternSegment): string {
  return 'capture' in segment ? SAMPLE : segment.literal
}

function requireReference(name: string, tag: string | undefined): void {
  const parsed = splitReference(tag === undefined ? name : `${name}:${tag}`)
  if (parsed === undefined || parsed.digest !== undefined)
    throw new GrammarError(
      'no image has such a name, which is like registry.example/team/{name} or, for one tag, …/{name}:1.0',
    )
  const normalised = `${parsed.domain}/${parsed.path}`
  if (normalised !== name)
    throw new GrammarError(`no image has such a name once it is normalised: write it like ${normalised}`)
}

function isAlike(one: NamePattern, other: NamePattern): boolean {
  return one.host === other.host && one.segments.length === other.segments.length
}

function literalAt({ segments }: NamePattern, at: number): string | undefined {
  const segment = segments[at]
  return segment && 'literal' in segment ? segment.literal : undefined
}
