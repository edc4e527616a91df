import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { FlakeRecipe } from '../../shim/build/recipe.ts'
import { formatFlakeName } from '../../shim/recipes/flake-name.ts'
import { createNames } from '../../shim/recipes/names.ts'
import { flakeUrl } from './flake-urls.ts'
import { made } from './runs.ts'

const names = createNames({
  rules: [
    { images: 'r.example/{name}', flake: 'git+https://git.example/team/{name}?ref={tag}', package: 'image' },
    { images: 'r.example/{owner}/{repo}', flake: 'github:{owner}/{repo}?dir=sub/{repo}', package: 'images.{repo}' },
    { images: 'r.example/local/a/{name}', flake: 'path:/srv/{name}', package: 'x' },
  ],
  flakeNames: true,
  system: 'x86_64-linux',
})

/** As `names` reads it; undefined of what it refuses. */
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

it('no image name makes a rule stand for another host, folder or query than the rule says', () => {
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

it('the image name that is made of a flake stands for that flake', () => {
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
    // Canonical already, so it has the same name.
    expect(formatFlakeName(`${recipe?.flake.url}${fragment}`)).toBe(name)
  }
  expect(found).toBeGreaterThan(50)
})
