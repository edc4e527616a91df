import { quote } from '../../lib/text/quote.ts'
import { GrammarError } from '../grammar.ts'
import { splitReference } from '../reference.ts'
import { STORE_PATH_HOST } from '../store-path.ts'
import { FLAKE_NAME_HOSTS } from './flake-name.ts'
import { TAG_CAPTURE } from './name-template.ts'

/**
 * The image names that a rule applies to, such as `registry.example/team/{name}`, `registry.example/team/app:1.0` or
 * `nix.local/pkgs/{contents}`.
 */
export interface NamePattern {
  readonly text: string
  readonly host: string
  /** Excludes `{contents}`. */
  readonly segments: readonly PatternSegment[]
  /** Ends in `{contents}`: one or more further segments follow. */
  readonly hasRest: boolean
  /** Undefined matches any tag. */
  readonly tag?: string | undefined
}

/** A path segment: literal text, or a capture that matches any text. */
export type PatternSegment = { readonly literal: string } | { readonly capture: string }

/** The capture `{contents}`: all further segments, at least one. */
export const REST_CAPTURE = 'contents'
const REST = `{${REST_CAPTURE}}`
const CAPTURE = /^\{([a-z][A-Za-z0-9]{0,31})\}$/

/** Throws GrammarError, also if no image can have such a name. */
export function parseNamePattern(text: string): NamePattern {
  const { path, tag } = splitTag(text)
  const [host = '', ...parts] = path.split('/')
  if (/[{}]/.test(host)) throw new GrammarError('its host must be spelled out')
  if (host === STORE_PATH_HOST || FLAKE_NAME_HOSTS.includes(host))
    throw new GrammarError(`image names of the host ${quote(host)} already are recipes`)
  const hasRest = parts.at(-1) === REST
  const segments = (hasRest ? parts.slice(0, -1) : parts).map(parseSegment)
  const captures = capturesOf({ segments })
  if (new Set(captures).size < captures.length) throw new GrammarError('it captures two segments under one name')
  requireReference([host, ...segments.map(sampleOf), ...(hasRest ? [SAMPLE] : [])].join('/'), tag)
  return { text, host, segments, hasRest, ...(tag !== undefined && { tag }) }
}

export function capturesOf({ segments }: Pick<NamePattern, 'segments'>): string[] {
  return segments.flatMap(segment => ('capture' in segment ? [segment.capture] : []))
}

/** The captures of a path that matches the pattern. */
export function capturePath({ segments }: NamePattern, path: readonly string[]): ReadonlyMap<string, string> {
  return new Map(segments.flatMap((segment, at) => ('capture' in segment ? [[segment.capture, path[at] ?? '']] : [])))
}

/** Whether `pattern` matches every image that `other` matches. */
export function covers(pattern: NamePattern, other: NamePattern): boolean {
  return (
    pattern.host === other.host &&
    (pattern.tag === undefined || pattern.tag === other.tag) &&
    (pattern.hasRest ? shortest(other) >= shortest(pattern) : isAlike(pattern, other)) &&
    pattern.segments.every((segment, at) => 'capture' in segment || segment.literal === literalAt(other, at))
  )
}

/** An image that both patterns match, if there is one. */
export function commonImage(one: NamePattern, other: NamePattern): string | undefined {
  if (one.host !== other.host) return undefined
  const length = Math.max(shortest(one), shortest(other))
  if (![one, other].every(pattern => pattern.hasRest || shortest(pattern) === length)) return undefined
  const tag = one.tag ?? other.tag
  if (other.tag !== undefined && other.tag !== tag) return undefined
  const path: string[] = []
  for (let at = 0; at < length; at += 1) {
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
    throw new GrammarError(`${quote(text)} is not a capture: a capture is a whole segment like {name}`)
  if (capture === REST_CAPTURE) throw new GrammarError(`${REST} matches all further segments and must be the last one`)
  if (capture === TAG_CAPTURE) throw new GrammarError('{tag} matches the tag, not a segment')
  return { capture }
}

function sampleOf(segment: PatternSegment): string {
  return 'capture' in segment ? SAMPLE : segment.literal
}

function requireReference(name: string, tag: string | undefined): void {
  const parsed = splitReference(tag === undefined ? name : `${name}:${tag}`)
  if (parsed === undefined || parsed.digest !== undefined)
    throw new GrammarError(
      'no image has such a name: write it like registry.example/team/{name} or, for one tag, …/{name}:1.0',
    )
  const normalized = `${parsed.domain}/${parsed.path}`
  if (normalized !== name)
    throw new GrammarError(`no image has such a name once it is normalized: write it like ${normalized}`)
}

/** Number of segments of the shortest path that matches. */
function shortest({ segments, hasRest }: NamePattern): number {
  return segments.length + (hasRest ? 1 : 0)
}

function isAlike(one: NamePattern, other: NamePattern): boolean {
  return one.hasRest === other.hasRest && one.segments.length === other.segments.length
}

function literalAt({ segments }: NamePattern, at: number): string | undefined {
  const segment = segments[at]
  return segment && 'literal' in segment ? segment.literal : undefined
}
