/** What every annotation of ours starts with. */
const PREFIX = 'enbi.hrzn.ee/nixbuild-'
const KEYS = ['flakeUrl', 'imageTag', 'packageName', 'contents', 'system'] as const

export type RecipeKeyName = (typeof KEYS)[number]

/** The annotations that share one suffix: `…-flakeUrl.web`, `…-imageTag.web` and so on. */
export interface AnnotationGroup {
  /** Empty for annotations without a suffix, else with its dot: `.web`. */
  readonly suffix: string
  readonly values: Partial<Record<RecipeKeyName, string>>
}

/** Full name of an annotation: `enbi.hrzn.ee/nixbuild-flakeUrl.web`. */
export function annotationName(key: RecipeKeyName, suffix = ''): string {
  return `${PREFIX}${key}${suffix}`
}

/** Whether an annotation of that name says something of a recipe. */
export function isRecipeAnnotation(name: string): boolean {
  return parseName(name) !== undefined
}

/** A cheap look at a raw protobuf message: whether any annotation of ours can be in it. */
export function mentionsRecipe(message: Buffer): boolean {
  return message.includes(PREFIX)
}

/** Sorts the recipe annotations among `annotations` by their suffix; all others are passed over. */
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
