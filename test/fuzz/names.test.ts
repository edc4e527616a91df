import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatFlakeName } from '../../recipes/names/flake-name.ts'
import { commonImage, covers, parseNamePattern } from '../../recipes/names/name-pattern.ts'
import { createNameTable } from '../../recipes/names/name-table.ts'
import { createNames } from '../../recipes/names/names.ts'
import { type FlakeRecipe, isPackageSet } from '../../recipes/recipe.ts'
import { splitReference } from '../../recipes/reference.ts'
import { flakeUrl } from './flake-urls.ts'
import { made } from './runs.ts'

const names = createNames({
  rules: [
    { images: 'r.example/{name}', flake: 'git+https://git.example/team/{name}?ref={tag}', package: 'image' },
    { images: 'r.example/{owner}/{repo}', flake: 'github:{owner}/{repo}?dir=sub/{repo}', package: 'images.{repo}' },
    { images: 'r.example/local/a/{name}', flake: 'path:/srv/{name}', package: 'x' },
    { images: 's.example/a/{branch}/{contents}', packages: 'git+https://git.example/pkgs?ref=refs/heads/{branch}' },
    { images: 's.example/{contents}', packages: 'github:team/pkgs' },
  ],
  flakeNames: true,
  system: 'x86_64-linux',
})

/** The recipe of an image name, or undefined if the shim rejects the name. */
function read(image: string): FlakeRecipe | undefined {
  try {
    return names.recipeOf(image)
  } catch (error) {
    expect(error).toMatchObject({ code: 'RecipeInvalid' })
    return undefined
  }
}

const text = (characters: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...characters), maxLength })
const segment = fc.oneof(
  text('ab0.-_', 8),
  fc.constantFrom(
    '..',
    '.',
    'local',
    'a',
    'a--x2e----x2e--b',
    'a--at--b',
    '%2e%2e',
    'a?b',
    'a#b',
    '{name}',
    '{tag}',
    'A',
  ),
  text('ab0.-_/:@?#%&={}\\ \n', 6),
)
const tag = fc.oneof(
  fc.constantFrom('', ':latest', ':v1', ':-o', ':--x', ':a&b=c', ':v1?rev=x', `:${'a'.repeat(40)}`, ':{name}', ':$&'),
  text(':ab0._-&=?#/', 8),
)
const image = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), tag)
  .map(([path, version]) => `r.example/${path.join('/')}${version}`)
const setImage = fc
  .tuple(
    fc.array(fc.oneof(segment, fc.constantFrom('shell', 'arm64', 'jq', 'a.b')), { minLength: 1, maxLength: 6 }),
    tag,
  )
  .map(([path, version]) => `s.example/${path.join('/')}${version}`)

it('no image name leads a name rule to another host, folder or query than the rule spells out', () => {
  let found = 0
  for (const one of fc.sample(image, made(4_000))) {
    const recipe = read(one)
    if (!recipe) continue
    found += 1
    expect(recipe.flake.url, one).toMatch(
      /^(?:git\+https:\/\/git\.example\/team\/[a-z0-9._-]+(?:\?(?:ref=[\w.-]+|rev=[0-9a-f]{40}))?|github:[a-z0-9._-]+\/[a-z0-9._-]+(?:\/[\w.-]+)?\?dir=sub\/[a-z0-9._-]+|path:\/srv\/[a-z0-9._-]+)$/,
    )
    expect(recipe.flake.url.split(/[/?]/), one).not.toContain('..')
  }
  expect(found).toBeGreaterThan(50)
})

it('no image name leads a name rule to another package set than the rule spells out, or to an invalid package name', () => {
  let found = 0
  for (const one of fc.sample(setImage, made(4_000))) {
    const recipe = read(one)
    if (!recipe) continue
    found += 1
    expect(recipe.flake.url, one).toMatch(
      /^(?:git\+https:\/\/git\.example\/pkgs\?ref=refs\/heads\/[a-z0-9._-]+|github:team\/pkgs(?:\/[\w.-]+)?)$/,
    )
    if (!isPackageSet(recipe)) throw new Error(`${one} is no package set`)
    const { contents } = recipe
    expect(contents.length, one).toBeGreaterThan(0)
    expect([...new Set(contents)].sort(), one).toEqual(contents)
    for (const name of contents) expect(name, one).toMatch(/^[A-Za-z0-9][\w-]*(?:\.[A-Za-z0-9][\w-]*)*$/)
    expect(['x86_64-linux', 'aarch64-linux']).toContain(recipe.system)
  }
  expect(found).toBeGreaterThan(50)
})

it('an image name at the host of a name rule is a recipe, a valid reference or an error, and never an invalid reference for containerd', () => {
  for (const one of fc.sample(fc.oneof(image, setImage), made(2_000))) {
    if (read(one) === undefined && splitReference(one) === undefined)
      expect(() => names.recipeOf(one), one).toThrow(expect.objectContaining({ code: 'RecipeInvalid' }))
  }
})

const patternText = fc
  .tuple(
    fc.array(fc.constantFrom('a', 'b', '{}'), { maxLength: 3 }),
    fc.constantFrom('', '', '{contents}'),
    fc.constantFrom('', '', ':v1', ':{tag}'),
  )
  .map(([parts, rest, version]) => {
    const path = [...parts.map((part, at) => (part === '{}' ? `{n${at}}` : part)), ...(rest === '' ? [] : [rest])]
    return `r.example/${path.length === 0 ? 'a' : path.join('/')}${version}`
  })
/** Paths as deep as these patterns can distinguish, with segments that no pattern spells out. */
const PATHS = [1, 2, 3].reduce<string[][]>(
  paths => [['a'], ['b'], ['x'], ...paths.flatMap(path => ['a', 'b', 'x'].map(part => [...path, part]))],
  [['a'], ['b'], ['x']],
)
const SAMPLES = PATHS.flatMap(path => ['v1', 'latest'].map(version => ({ path: path.join('/'), tag: version })))

/** The images of a pattern, computed from its text alone. */
function imagesOf(pattern: string) {
  const [, path = '', version] = /^r\.example\/([^:]*)(?::(.*))?$/.exec(pattern) ?? []
  const paths = new RegExp(`^${path.replace(/\{contents\}$/, '.+').replace(/\{n\d\}/g, '[^/]+')}$`)
  const isAny = version === undefined || version === '{tag}'
  return new Set(SAMPLES.filter(sample => paths.test(sample.path) && (isAny || version === sample.tag)))
}

it('the look-up of name rules finds the first pattern that matches, and reports two patterns that share images', () => {
  for (const texts of fc.sample(fc.array(patternText, { minLength: 1, maxLength: 8 }), made(300))) {
    const patterns = texts.map(parseNamePattern)
    const images = new Map(texts.map(text => [text, imagesOf(text)]))
    const find = createNameTable(patterns.map(pattern => ({ pattern })))
    const wrong = SAMPLES.filter(
      sample =>
        find({ domain: 'r.example', ...sample })?.pattern.text !== texts.find(text => images.get(text)?.has(sample)),
    )
    expect(wrong, texts.join(' ')).toEqual([])
    const [one, other] = patterns
    const [mine, theirs] = texts.map(text => images.get(text))
    if (!(one && other && mine && theirs)) continue
    expect(commonImage(one, other) !== undefined, texts.join(' ')).toBe([...mine].some(sample => theirs.has(sample)))
    expect(covers(one, other), texts.join(' ')).toBe([...theirs].every(sample => mine.has(sample)))
  }
})

it('the image name that is computed for a flake leads back to that flake', () => {
  let found = 0
  const flake = fc.tuple(flakeUrl, fc.constantFrom('', '#web', '#images.web', '#redisWithShell', "#a'b", '#a--x23--b'))
  for (const [url, fragment] of fc.sample(flake, made(2_000))) {
    let name: string
    try {
      name = formatFlakeName(`${url}${fragment}`)
    } catch (error) {
      expect(error).toMatchObject({ code: 'RecipeInvalid' })
      continue
    }
    found += 1
    const recipe = names.recipeOf(name)
    expect(recipe, name).toMatchObject({ packageName: fragment.slice(1) || 'default' })
    // The URL is already canonical, so the name is the same.
    expect(formatFlakeName(`${recipe?.flake.url}${fragment}`)).toBe(name)
  }
  expect(found).toBeGreaterThan(50)
})
