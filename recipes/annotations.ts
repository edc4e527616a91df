/** Prefix of all recipe annotations. */
const PREFIX = 'enbi.hrzn.ee/nixbuild-'
const KEYS = ['flakeUrl', 'imageTag', 'packageName', 'contents', 'system'] as const

export type RecipeKeyName = (typeof KEYS)[number]

/** The annotations with the same suffix, such as `…-flakeUrl.web` and `…-imageTag.web`. */
export interface AnnotationGroup {
  /** The suffix with its dot, such as `.web`; empty for annotations without a suffix. */
  readonly suffix: string
  readonly values: Partial<Record<RecipeKeyName, string>>
}

/** Full name of an annotation, such as `enbi.hrzn.ee/nixbuild-flakeUrl.web`. */
export function annotationName(key: RecipeKeyName, suffix = ''): string {
  return `${PREFIX}${key}${suffix}`
}

export function isRecipeAnnotation(name: string): boolean {
  return parseName(name) !== undefined
}

/** Cheap test of a raw protobuf message: false if it contains no recipe annotation. */
export function mentionsRecipe(message: Buffer): boolean {
  return message.includes(PREFIX)
}

/** Groups the recipe annotations by suffix. Other annotations are ignored. */
export function groupAnnotations(annotations: Readonly<Record<string, string>>): AnnotationGroup[] {
  const groups = new Map<string, Partial<Record<RecipeKeyName, string>>>()
  for (const [name, value] of Object.entries(annotations)) {
    const parsed = parseName(name)
    if (!parsed) continue
    const values = groups.get(parsed.suffix) ?? {}
    values[parsed.key] = value
    groups.set(parsed.suffix, values)
  }
  return [...groups].map(([suffix, values]) => ({ suffix, values }))
}

function parseName(name: string): { key: RecipeKeyName; suffix: string } | undefined {
  if (!name.startsWith(PREFIX)) return undefined
  const rest = name.slice(PREFIX.length)
  const dot = rest.indexOf('.')
  const word = dot < 0 ? rest : rest.slice(0, dot)
  const key = KEYS.find(known => known === word)
  return key && { key, suffix: dot < 0 ? '' : rest.slice(dot) }
}
