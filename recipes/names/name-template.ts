import { quote } from '../../lib/text/quote.ts'
import { isRev } from '../flake-query.ts'
import { type FlakeUrl, parseFlakeUrl } from '../flake-url.ts'
import { GrammarError } from '../grammar.ts'
import { parseNameInSet, parsePackageName } from '../package-name.ts'

/** `{tag}` in templates. */
export const TAG_CAPTURE = 'tag'
/** The tag of references without one. */
export const DEFAULT_TAG = 'latest'

/** What a name gives: its captures, and its tag unless that is `latest`. */
export interface NameValues {
  readonly captures: ReadonlyMap<string, string>
  readonly tag: string | undefined
}

export interface Template<Value> {
  /** Names of what stands in it. */
  readonly used: ReadonlySet<string>
  /** Throws RecipeInvalid. */
  fill(values: NameValues): Value
}

export interface TemplateOptions {
  /** Names that may stand in it. */
  readonly known: readonly string[]
  /** The tag is put nowhere else: it becomes the flake's ref where there can be one. */
  readonly tagIsRef?: boolean
}

const PLACEHOLDER = /\{([^{}]*)\}/g
const TAG = `{${TAG_CAPTURE}}`
const TAG_SEGMENT = `/${TAG}`

/** A flake URL with captures in its path, `ref` or `dir`. Throws GrammarError, or RecipeInvalid where it never is a flake URL. */
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

/** An attribute path with captures, which do not make it a whole one. Without a tag of its own a name's `{tag}` is `default`, as nix has it. */
export function compilePackage(text: string, { known }: TemplateOptions): Template<string> {
  checkPlaceholders(text, known)
  const parse = text.startsWith('.') ? parsePackageName : parseNameInSet
  const fill = ({ captures, tag = DEFAULT_PACKAGE }: NameValues) =>
    parse(fillText(text, new Map([...captures, [TAG_CAPTURE, tag]]))).text
  fill({ captures: new Map(known.map(name => [name, SAMPLE])), tag: SAMPLE })
  return { used: placeholdersOf(text), fill }
}

export const DEFAULT_PACKAGE = 'default'

/** A flake URL at the ref or revision that a tag names; undefined where the URL has one already, or can have none. Throws RecipeInvalid. */
export function flakeAtTag(url: string, tag: string): FlakeUrl | undefined {
  // First: it has no braces then.
  parseFlakeUrl(url)
  const template = withTag(url)
  return template === url ? undefined : parseFlakeUrl(placeTag(template, tag))
}

/** What every grammar here takes. */
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
  if (/[{}]/.test(text.replace(PLACEHOLDER, ''))) throw new GrammarError('it has a brace without its other half')
}

/** A name must not choose a host, a user, a scheme, or what a query says. */
function checkPlaces(text: string): void {
  const [place = '', query] = splitQuery(text)
  const [head = ''] = /^[^:/]*:(?:\/\/[^/]*)?/.exec(place) ?? []
  if (/[{}]/.test(head) || head === '') throw new GrammarError('nothing can be captured into its scheme, user or host')
  const path = place.slice(head.length)
  const isForge = !path.startsWith('/')
  if (path.includes(TAG) && !(isForge && path.indexOf(TAG) === path.length - TAG.length && path.endsWith(TAG_SEGMENT)))
    throw new GrammarError('{tag} can stand in ref=… alone, or at the end of github:OWNER/REPO/{tag} and its like')
  for (const pair of query?.split('&') ?? []) {
    const [key = '', value = ''] = splitAt(pair, '=')
    if (!/[{}]/.test(pair)) continue
    if (/[{}]/.test(key) || !['ref', 'dir'].includes(key))
      throw new GrammarError('in its query, captures can stand in ref=… and dir=… alone')
    if (key === 'dir' && value.includes(TAG)) throw new GrammarError('{tag} can stand in ref=…, and not in dir=…')
  }
}

const FORGE = /^(?:github|gitlab|sourcehut):[^/]+\/[^/]+$/
const REGISTRY = /^flake:[^/]+$/

/** With the tag as its ref, unless it has one, or a revision, or can have none. */
function withTag(text: string): string {
  const [place = '', query] = splitQuery(text)
  const keys = query?.split('&').map(pair => splitAt(pair, '=')[0]) ?? []
  if (text.includes(TAG) || keys.includes('ref') || keys.includes('rev')) return text
  if (place.startsWith('git+')) return `${text}${query === undefined ? '?' : '&'}ref=${TAG}`
  if (!FORGE.test(place) && !REGISTRY.test(place)) return text
  return `${place}${TAG_SEGMENT}${query === undefined ? '' : `?${query}`}`
}

/** A full revision locks; without a tag the flake's default is meant. */
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
