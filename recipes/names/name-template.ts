import { quote } from '../../lib/text/quote.ts'
import { isRev } from '../flake-query.ts'
import { type FlakeUrl, parseFlakeUrl } from '../flake-url.ts'
import { GrammarError } from '../grammar.ts'
import { parseNameInSet, parsePackageName } from '../package-name.ts'

/** The capture `{tag}`. */
export const TAG_CAPTURE = 'tag'
/** Tag of references without one. */
export const DEFAULT_TAG = 'latest'

/** Values from an image name. The tag `latest` counts as none. */
export interface NameValues {
  readonly captures: ReadonlyMap<string, string>
  readonly tag: string | undefined
}

export interface Template<Value> {
  /** Captures that the template uses. */
  readonly used: ReadonlySet<string>
  /** Throws RecipeInvalid. */
  fill(values: NameValues): Value
}

export interface TemplateOptions {
  /** Captures that the template may use. */
  readonly known: readonly string[]
  /** The tag is not used elsewhere, so it becomes the flake's ref if there can be one. */
  readonly tagIsRef?: boolean
}

const PLACEHOLDER = /\{([^{}]*)\}/g
const TAG = `{${TAG_CAPTURE}}`
const TAG_SEGMENT = `/${TAG}`

/**
 * Compiles a flake URL with captures in its path, `ref` or `dir`. Throws GrammarError, or RecipeInvalid if no values
 * make it a flake URL.
 */
export function compileFlake(text: string, { known, tagIsRef = false }: TemplateOptions): Template<FlakeUrl> {
  checkPlaceholders(text, known)
  checkPlaces(text)
  const template = tagIsRef ? withTag(text) : text
  const used = placeholdersOf(template)
  const fill = ({ captures, tag }: NameValues) => parseFlakeUrl(fillText(placeTag(template, tag), captures))
  const captures = new Map(known.map(name => [name, SAMPLE]))
  for (const tag of [undefined, SAMPLE]) fill({ captures, tag })
  return { used, fill }
}

/**
 * Compiles an attribute path with captures. A capture cannot turn it into a full path. If a name has no tag, `{tag}` is
 * `default`, as usual with nix.
 */
export function compilePackage(text: string, { known }: TemplateOptions): Template<string> {
  checkPlaceholders(text, known)
  const parse = text.startsWith('.') ? parsePackageName : parseNameInSet
  const fill = ({ captures, tag = DEFAULT_PACKAGE }: NameValues) =>
    parse(fillText(text, new Map([...captures, [TAG_CAPTURE, tag]]))).text
  fill({ captures: new Map(known.map(name => [name, SAMPLE])), tag: SAMPLE })
  return { used: placeholdersOf(text), fill }
}

export const DEFAULT_PACKAGE = 'default'

/**
 * The flake URL at the ref or revision that a tag names. Undefined if the URL already has one, or cannot have one.
 * Throws RecipeInvalid.
 */
export function flakeAtTag(url: string, tag: string): FlakeUrl | undefined {
  // First, as a valid URL has no braces.
  parseFlakeUrl(url)
  const template = withTag(url)
  return template === url ? undefined : parseFlakeUrl(placeTag(template, tag))
}

/** A text that is valid in every grammar here. */
const SAMPLE = 'x'

function placeholdersOf(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(PLACEHOLDER)].map(([, name = '']) => name))
}

function checkPlaceholders(text: string, known: readonly string[]): void {
  for (const name of placeholdersOf(text))
    if (!known.includes(name))
      throw new GrammarError(
        `${quote(`{${name}}`)} is not captured: ${known.map(one => `{${one}}`).join(', ')} can be used`,
      )
  if (/[{}]/.test(text.replace(PLACEHOLDER, ''))) throw new GrammarError('it has an unmatched brace')
}

/** A name must not choose the scheme, user or host, nor other query parameters. */
function checkPlaces(text: string): void {
  const [place = '', query] = splitQuery(text)
  const [head = ''] = /^[^:/]*:(?:\/\/[^/]*)?/.exec(place) ?? []
  if (/[{}]/.test(head) || head === '') throw new GrammarError('captures are not allowed in its scheme, user or host')
  const path = place.slice(head.length)
  const isForge = !path.startsWith('/')
  if (path.includes(TAG) && !(isForge && path.indexOf(TAG) === path.length - TAG.length && path.endsWith(TAG_SEGMENT)))
    throw new GrammarError('{tag} is allowed only in ref=…, or at the end of github:OWNER/REPO/{tag} and the like')
  for (const pair of query?.split('&') ?? []) {
    const [key = '', value = ''] = splitAt(pair, '=')
    if (!/[{}]/.test(pair)) continue
    if (/[{}]/.test(key) || !['ref', 'dir'].includes(key))
      throw new GrammarError('in its query, captures are allowed only in ref=… and dir=…')
    if (key === 'dir' && value.includes(TAG)) throw new GrammarError('{tag} is allowed in ref=…, not in dir=…')
  }
}

const FORGE = /^(?:github|gitlab|sourcehut):[^/]+\/[^/]+$/
const REGISTRY = /^flake:[^/]+$/

/** Adds `{tag}` as the ref, unless the URL has a ref or revision, or cannot have one. */
function withTag(text: string): string {
  const [place = '', query] = splitQuery(text)
  const keys = query?.split('&').map(pair => splitAt(pair, '=')[0]) ?? []
  if (text.includes(TAG) || keys.includes('ref') || keys.includes('rev')) return text
  if (place.startsWith('git+')) return `${text}${query === undefined ? '?' : '&'}ref=${TAG}`
  if (!FORGE.test(place) && !REGISTRY.test(place)) return text
  return `${place}${TAG_SEGMENT}${query === undefined ? '' : `?${query}`}`
}

/** A full revision locks the flake. Without a tag, the flake's default branch is used. */
function placeTag(template: string, tag: string | undefined): string {
  const [place = '', query] = splitQuery(template)
  const placed = tag === undefined ? place.replace(TAG_SEGMENT, '') : place.replace(TAG, () => tag)
  const pairs = query?.split('&').flatMap(pair => placeInPair(pair, tag)) ?? []
  return pairs.length === 0 ? placed : `${placed}?${pairs.join('&')}`
}

function placeInPair(pair: string, tag: string | undefined): string[] {
  if (!pair.includes(TAG)) return [pair]
  if (tag === undefined) return []
  return [isRev(tag) ? `rev=${tag}` : pair.replace(TAG, () => tag)]
}

function fillText(template: string, values: ReadonlyMap<string, string>): string {
  return template.replace(PLACEHOLDER, (whole, name: string) => values.get(name) ?? whole)
}

function splitQuery(text: string): [place: string, query: string | undefined] {
  return splitAt(text, '?')
}

function splitAt(text: string, separator: string): [before: string, after: string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}
