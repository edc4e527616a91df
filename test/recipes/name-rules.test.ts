import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../shim/config.ts'
import type { NameRule } from '../../shim/recipes/name-rules.ts'
import { createNames } from '../../shim/recipes/names.ts'

const REV = '0123456789abcdef0123456789abcdef01234567'
const GIT: NameRule = {
  images: 'registry.example/team/{name}',
  flake: 'git+https://git.example/team/{name}?ref={tag}',
  package: 'image',
}
const APPS: NameRule = { images: 'nix.local/apps/{name}', flake: 'github:team/apps', package: '{name}' }

function named(image: string, ...rules: readonly NameRule[]): string | undefined {
  const names = createNames({ rules, flakeNames: false, system: 'x86_64-linux' })
  const recipe = names.recipeOf(image)
  if (!recipe) return undefined
  expect(names.mentioned(Buffer.from(image))).toBe(true)
  expect(recipe).toMatchObject({ system: 'x86_64-linux' })
  return `${recipe.flake.url}#${recipe.packageName}`
}

describe('the name of an image is the recipe that the first matching rule makes of it', () => {
  it.each([
    ['registry.example/team/app:v1.2.0', 'git+https://git.example/team/app?ref=v1.2.0#image'],
    ['registry.example/team/app:latest', 'git+https://git.example/team/app#image'],
    ['registry.example/team/app', 'git+https://git.example/team/app#image'],
    [`registry.example/team/app:${REV}`, `git+https://git.example/team/app?rev=${REV}#image`],
    [`registry.example/team/app:${REV.toUpperCase()}`, `git+https://git.example/team/app?rev=${REV}#image`],
    [`registry.example/team/app:v1@sha256:${'0'.repeat(64)}`, 'git+https://git.example/team/app?ref=v1#image'],
    ['nix.local/apps/web', 'github:team/apps#web'],
    ['nix.local/apps/images.web:main', 'github:team/apps/main#images.web'],
    [`nix.local/apps/web:${REV}`, `github:team/apps/${REV}#web`],
  ])('%s → %s', (image, recipe) => {
    expect(named(image, GIT, APPS)).toBe(recipe)
  })

  it.each([
    [
      'several captures',
      'r.example/{owner}/{repo}',
      'github:{owner}/{repo}',
      '{repo}',
      'r.example/a/b:v1',
      'github:a/b/v1#b',
    ],
    ['{tag} in the pattern', 'r.example/a:{tag}', 'github:a/b/{tag}', 'x', 'r.example/a:v1', 'github:a/b/v1#x'],
    [
      'a git tag',
      'r.example/{n}',
      'git+ssh://git@g.example/{n}?ref=refs/tags/{tag}',
      'x',
      'r.example/a:v1',
      'git+ssh://git@g.example/a?ref=refs/tags/v1#x',
    ],
    [
      'the tag added to a query',
      'r.example/{n}',
      'git+https://g.example/{n}?dir=sub',
      'x',
      'r.example/a:v1',
      'git+https://g.example/a?dir=sub&ref=v1#x',
    ],
    [
      'a folder',
      'r.example/{n}',
      'github:a/b?dir=images/{n}',
      'x',
      'r.example/web:v1',
      'github:a/b/v1?dir=images/web#x',
    ],
    ['the tag of one image', 'r.example/a:v1', `github:a/b/${REV}`, 'x', 'r.example/a:v1', `github:a/b/${REV}#x`],
    ['a whole path', 'r.example/{n}', 'github:a/b', '.containers.{n}', 'r.example/web', 'github:a/b#.containers.web'],
    ['a registry id', 'r.example/{n}', 'flake:apps', '{n}', 'r.example/a:v1', 'flake:apps/v1#a'],
    ['a host with a port', 'r.example:5000/{n}', 'path:/srv/{n}', 'x', 'r.example:5000/a', 'path:/srv/a#x'],
    ['an IPv6 host', '[::1]:5000/{n}', 'path:/srv/{n}', 'x', '[::1]:5000/a', 'path:/srv/a#x'],
    ["the default registry's host", 'docker.io/library/{n}', 'path:/srv/{n}', 'x', 'app', 'path:/srv/app#x'],
    [
      'the tag as package',
      'r.example/{n}',
      'git+https://g.example/{n}',
      '{tag}',
      'r.example/a:web',
      'git+https://g.example/a#web',
    ],
    [
      'no tag as package',
      'r.example/{n}',
      'git+https://g.example/{n}',
      '{tag}',
      'r.example/a',
      'git+https://g.example/a#default',
    ],
  ])('with %s', (_what, images, flake, packageName, image, recipe) => {
    expect(named(image, { images, flake, package: packageName })).toBe(recipe)
  })

  it('where a rule for fewer images comes before one for more', () => {
    const special = { ...GIT, images: 'registry.example/team/special', flake: 'github:team/special' }
    expect(named('registry.example/team/special', special, GIT)).toBe('github:team/special#image')
    expect(named('registry.example/team/other', special, GIT)).toBe('git+https://git.example/team/other#image')
  })

  it.each([
    'registry.example/other/app',
    'registry.example/team/app/deep',
    'registry.example/team',
    'REGISTRY.example/team/app',
    'registry.example:443/team/app',
    'evil.example/registry.example/team/app',
    'team/app',
    `sha256:${'0'.repeat(64)}`,
    'registry.example/Team/app',
    'registry.example/team/..',
    'registry.example/team/../team/app',
    'registry.example/team/app:-upload-pack=x',
    'registry.example/team/app:--option',
    `registry.example/${'team/'.repeat(200)}app`,
    '',
  ])('and no other name is one: %s', image => {
    expect(named(image, GIT, APPS)).toBeUndefined()
  })

  it('and the id of an image is no name, even where the default registry has a rule', () => {
    const rule = { images: 'docker.io/library/{n}', flake: 'path:/srv/{n}', package: 'x' }
    expect(named(`sha256:${'0'.repeat(64)}`, rule)).toBeUndefined()
  })
})

describe('a name that matches a rule and makes no good recipe is refused', () => {
  it.each([
    ['a tag with "..", which no ref has', 'registry.example/team/app:v1..2', 'not the name of a branch'],
    ['a tag that ends like a lock', 'registry.example/team/app:v1.lock', 'not the name of a branch'],
    ['a tag that begins with "_"', 'registry.example/team/app:_x', 'not the name of a branch'],
    ['a digest that cannot be verified', 'registry.example/team/app@md5:00', undefined],
    ['a tag where the flake pins its revision', 'pinned.example/app:v1', 'only the tag latest'],
    ['a package that is no attribute path', 'nix.local/apps/a..b', undefined],
    ['a package that would be a whole path', 'nix.local/apps/.containers', undefined],
    ['a tag that would be a whole path', 'tag.example/app:.containers', undefined],
  ])('%s', (_what, image, words) => {
    const pinned = { images: 'pinned.example/app', flake: `github:team/app/${REV}`, package: 'image' }
    const read = () => named(image, GIT, APPS, pinned)
    if (words === undefined) return expect(read()).toBeUndefined()
    expect(read).toThrow(expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }))
  })
})

describe('a mistake in a name rule is named with its key', () => {
  const good = { images: 'r.example/{n}', flake: 'path:/srv/{n}', package: 'x' }
  it.each([
    ['a capture of the host', [{ ...good, images: '{h}/{n}' }], 'names.0.images: its host must be spelled out'],
    ['no host', [{ ...good, images: 'app/{n}' }], 'names.0.images: no image has such a name'],
    ['a capital letter', [{ ...good, images: 'r.example/Team/{n}' }], 'names.0.images: no image has such a name'],
    [
      'a segment that is partly captured',
      [{ ...good, images: 'r.example/a-{n}' }],
      'names.0.images: "a-{n}" is no capture',
    ],
    [
      'one capture twice',
      [{ ...good, images: 'r.example/{n}/{n}' }],
      'names.0.images: it captures two segments under one name',
    ],
    ['the tag as a segment', [{ ...good, images: 'r.example/{tag}' }], 'names.0.images: {tag} stands for the tag'],
    ['a digest', [{ ...good, images: `r.example/{n}@sha256:${'0'.repeat(64)}` }], 'names.0.images: "{n}@sha256" is no'],
    ['a store path', [{ ...good, images: 'nix:0/nix/store/{n}' }], 'names.0.images: names of "nix:0" are recipes'],
    [
      'the name of a flake',
      [{ ...good, images: 'flake-github:0/{n}' }],
      'names.0.images: names of "flake-github:0" are',
    ],
    [
      'a capture that is not used',
      [{ ...good, images: 'r.example/{a}/{n}' }],
      'names.0.images: {a} is used in neither',
    ],
    [
      'a capture that is not there',
      [{ ...good, flake: 'path:/srv/{m}' }],
      'names.0.flake: "{m}" is not captured: {n}, {tag} can be used',
    ],
    ['half a capture', [{ ...good, flake: 'path:/srv/{n' }], 'names.0.flake: it has a brace without its other half'],
    [
      'a captured host',
      [{ ...good, flake: 'git+https://{n}/a' }],
      'names.0.flake: nothing can be captured into its scheme, user or host',
    ],
    [
      'a captured user',
      [{ ...good, flake: 'git+ssh://{n}@g.example/a' }],
      'names.0.flake: nothing can be captured into its scheme',
    ],
    ['a captured scheme', [{ ...good, flake: '{n}:a/b' }], 'names.0.flake: nothing can be captured into its scheme'],
    [
      'a captured key',
      [{ ...good, flake: 'github:a/b?{n}=x' }],
      'names.0.flake: in its query, captures can stand in ref=… and dir=… alone',
    ],
    ['a captured forge', [{ ...good, flake: 'github:a/b?host={n}' }], 'names.0.flake: in its query'],
    [
      'a tag in the middle',
      [{ ...good, flake: 'git+https://g.example/{tag}/{n}' }],
      'names.0.flake: {tag} can stand in ref=…',
    ],
    ['no flake URL', [{ ...good, flake: '../{n}' }], 'names.0.flake'],
    [
      'a flake URL of no known scheme',
      [{ ...good, flake: 'hg+https://g.example/{n}' }],
      'names.0.flake: the flake URL',
    ],
    ['no package name', [{ ...good, package: '-{n}' }], 'names.0.package: the package name'],
    ['a key that is missing', [{ images: 'r.example/{n}', flake: 'path:/srv/{n}' }], 'names.0.package: missing'],
    ['an unknown key', [{ ...good, pakage: 'x' }], 'names.0.pakage: unknown key, did you mean package?'],
    [
      'a rule that comes twice',
      [good, { ...good, images: 'r.example/{m}', flake: 'path:/x/{m}' }],
      'names.1.images: never matches: names.0, "r.example/{n}"',
    ],
    [
      'a rule after one for more images',
      [good, { ...good, images: 'r.example/a', flake: 'path:/x' }],
      'names.1.images: never matches: names.0',
    ],
    [
      'a rule for one tag after one for all',
      [good, { ...good, images: 'r.example/{n}:v1' }],
      'names.1.images: never matches: names.0',
    ],
    [
      'rules that share images',
      [
        { ...good, images: 'r.example/a/{n}' },
        { ...good, images: 'r.example/{n}/b' },
      ],
      'names.1.images: ambiguous: r.example/a/b is for this rule and for names.0, "r.example/a/{n}"',
    ],
    [
      'rules that share images by a tag',
      [
        { ...good, images: 'r.example/a', flake: 'path:/x' },
        { ...good, images: 'r.example/{n}:v1' },
      ],
      'names.1.images: ambiguous: r.example/a:v1 is for this rule',
    ],
  ])('%s', (_what, names, message) => {
    expect(() => parseConfig(JSON.stringify({ names }), 'config.yaml')).toThrow(
      expect.objectContaining({ code: 'ConfigInvalid', message: expect.stringContaining(message) }),
    )
  })

  it('and rules for other hosts, depths and tags are no mistake', () => {
    const names = [
      good,
      { ...good, images: 'r.example/a/{n}' },
      { ...good, images: 's.example/{n}:v1' },
      { ...good, images: 's.example/{n}:v2' },
      { ...good, images: 's.example/{n}' },
    ]
    expect(parseConfig(JSON.stringify({ names }), 'config.yaml').names).toEqual(names)
  })
})
