import { describe, expect, it } from 'vitest'
import type { NameRule } from '../../../recipes/names/name-rule.ts'
import { createNames } from '../../../recipes/names/names.ts'
import { formatRecipe } from '../../../recipes/recipe.ts'
import { parseConfig } from '../../../shim/config/config.ts'

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
  return formatRecipe(recipe)
}

describe('an image name becomes the recipe of the first matching rule', () => {
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
    ['a full path', 'r.example/{n}', 'github:a/b', '.containers.{n}', 'r.example/web', 'github:a/b#.containers.web'],
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

  it('if a specific rule comes before a general one', () => {
    const special = { ...GIT, images: 'registry.example/team/special', flake: 'github:team/special' }
    expect(named('registry.example/team/special', special, GIT)).toBe('github:team/special#image')
    expect(named('registry.example/team/other', special, GIT)).toBe('git+https://git.example/team/other#image')
  })

  describe('for a package set', () => {
    const SET: NameRule = { images: 'nix.local/pkgs/{contents}', packages: 'github:NixOS/nixpkgs' }
    const BRANCHES: NameRule = { images: 'nix.local/of/{branch}/{contents}', packages: 'github:team/pkgs/{branch}' }
    const PINNED: NameRule = { images: 'old.local/{contents}', packages: 'github:NixOS/nixpkgs/nixos-25.05' }
    const GIT_SET: NameRule = {
      images: '[::1]:5000/{contents}',
      packages: 'git+ssh://git@g.example/pkgs?ref=refs/tags/{tag}',
    }
    const ONE: NameRule = { images: 'nix.local/pkgs/curl', flake: 'github:team/curl', package: 'x' }

    it.each([
      ['nix.local/pkgs/curl/jq', 'github:NixOS/nixpkgs#{curl,jq}'],
      ['nix.local/pkgs/jq/curl/jq', 'github:NixOS/nixpkgs#{curl,jq}'],
      ['nix.local/pkgs/jq', 'github:NixOS/nixpkgs#{jq}'],
      ['nix.local/pkgs/shell/htop', 'github:NixOS/nixpkgs#{bashInteractive,coreutils,htop,moreutils,nano}'],
      ['nix.local/pkgs/python3packages.requests', 'github:NixOS/nixpkgs#{python3packages.requests}'],
      ['nix.local/pkgs/7zz', 'github:NixOS/nixpkgs#{7zz}'],
      ['nix.local/pkgs/jq:nixos-24.11', 'github:NixOS/nixpkgs/nixos-24.11#{jq}'],
      ['nix.local/pkgs/jq:latest', 'github:NixOS/nixpkgs#{jq}'],
      [`nix.local/pkgs/jq:${REV}`, `github:NixOS/nixpkgs/${REV}#{jq}`],
      [`nix.local/pkgs/jq:v1@sha256:${'0'.repeat(64)}`, 'github:NixOS/nixpkgs/v1#{jq}'],
      ['nix.local/of/main/curl/jq', 'github:team/pkgs/main#{curl,jq}'],
      ['old.local/jq', 'github:NixOS/nixpkgs/nixos-25.05#{jq}'],
      ['[::1]:5000/jq', 'git+ssh://git@g.example/pkgs#{jq}'],
      ['[::1]:5000/jq:v1', 'git+ssh://git@g.example/pkgs?ref=refs/tags/v1#{jq}'],
      [`[::1]:5000/jq:${REV}`, `git+ssh://git@g.example/pkgs?rev=${REV}#{jq}`],
      ['nix.local/pkgs/curl', 'github:team/curl#x'],
      [`nix.local/pkgs/${'a/'.repeat(119)}a`, 'github:NixOS/nixpkgs#{a}'],
    ])('%s → %s', (image, recipe) => {
      expect(named(image, ONE, SET, BRANCHES, PINNED, GIT_SET)).toBe(recipe)
    })

    it.each(['nix.local/pkgs', 'nix.local/pkgs:v1', 'nix.local/of/main', 'nix.local/jq'])('but not %s', image => {
      expect(named(image, SET, BRANCHES)).toBeUndefined()
    })

    it('of another system', () => {
      const { recipeOf } = createNames({ rules: [SET], flakeNames: false, system: 'x86_64-linux' })
      const recipe = { image: 'nix.local/pkgs/arm64/jq:latest', system: 'aarch64-linux', contents: ['jq'] }
      expect(recipeOf('nix.local/pkgs/arm64/jq')).toMatchObject(recipe)
      expect(recipeOf('nix.local/pkgs/amd64/jq')).toMatchObject({ system: 'x86_64-linux', contents: ['jq'] })
    })

    it('if specific rules come before general ones, at any depth', () => {
      const deep = { images: 'nix.local/pkgs/tools/{contents}', packages: 'github:team/tools' }
      const all = { images: 'nix.local/{contents}', packages: 'github:team/all' }
      const rules = [ONE, deep, SET, all]
      expect(named('nix.local/pkgs/tools/jq', ...rules)).toBe('github:team/tools#{jq}')
      expect(named('nix.local/pkgs/tools', ...rules)).toBe('github:NixOS/nixpkgs#{tools}')
      expect(named('nix.local/jq/pkgs', ...rules)).toBe('github:team/all#{jq,pkgs}')
      expect(named('nix.local/jq', ...rules)).toBe('github:team/all#{jq}')
    })

    it.each([
      [
        'a meta-package after a package',
        'nix.local/pkgs/jq/shell',
        '"shell" stands for no package, so it must come first',
      ],
      ['a system alone', 'nix.local/pkgs/arm64', 'the contents name no package'],
      ['two systems', 'nix.local/pkgs/arm64/amd64/jq', 'more than one system'],
      ['a tag if the set already has a ref', 'old.local/jq:v1', 'only the tag latest'],
      ['a revision if the set already has a ref', `old.local/jq:${REV}`, 'only the tag latest'],
      ['a tag that is not a valid ref', 'nix.local/pkgs/jq:v1..2', 'nor the name of a branch'],
      ['200 segments', `nix.local/pkgs/${'a/'.repeat(199)}a`, 'longer than 255 characters'],
      ['a parent folder', 'nix.local/pkgs/../jq', 'not an image reference'],
      ['a parent folder at the end', 'nix.local/pkgs/jq/..', 'not an image reference'],
      ['an option', 'nix.local/pkgs/-o', 'not an image reference'],
      ['a tag that is an option', 'nix.local/pkgs/jq:-o', 'not an image reference'],
      ['an empty package', 'nix.local/pkgs/jq/', 'not an image reference'],
      ['an escape of flake names', 'nix.local/pkgs/--at--evil', 'not an image reference'],
      ['capital letters', 'nix.local/pkgs/bashInteractive', 'capital letters'],
      ['a parent folder after an IPv6 host', '[::1]:5000/a/..', 'not an image reference'],
    ])('but is rejected with %s', (_what, image, words) => {
      expect(() => named(image, SET, PINNED, GIT_SET)).toThrow(
        expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }),
      )
    })

    it.each(['nix.local/pkgs/a--at--evil.example', 'nix.local/pkgs/a--x2f--b', 'nix.local/pkgs/a__b'])(
      'without decoding escapes: %s',
      image => {
        expect(named(image, SET)).toBe(`github:NixOS/nixpkgs#{${image.slice('nix.local/pkgs/'.length)}}`)
      },
    )
  })

  it.each([
    'registry.example/other/app',
    'registry.example/team/app/deep',
    'registry.example/team',
    'registry.example:443/team/app',
    'evil.example/registry.example/team/app',
    'team/app',
    'Team/app',
    `sha256:${'0'.repeat(64)}`,
    '0'.repeat(64),
    'other.example/../registry.example/team/app',
    `other.example/${'team/'.repeat(200)}app`,
    '',
  ])('but not other names: %s', image => {
    expect(named(image, GIT, APPS)).toBeUndefined()
  })

  it('but not an image id, even if the default registry has a rule', () => {
    const rule = { images: 'docker.io/library/{n}', flake: 'path:/srv/{n}', package: 'x' }
    for (const id of [`sha256:${'0'.repeat(64)}`, '0'.repeat(64)]) expect(named(id, rule)).toBeUndefined()
  })
})

describe('a name that matches a rule is rejected with', () => {
  it.each([
    ['a tag with "..", which refs cannot have', 'registry.example/team/app:v1..2', 'not the name of a branch'],
    ['a tag that ends like a lock', 'registry.example/team/app:v1.lock', 'not the name of a branch'],
    ['a tag that begins with "_"', 'registry.example/team/app:_x', 'not the name of a branch'],
    ['a digest that cannot be verified', 'registry.example/team/app@md5:00', 'digest that cannot be verified'],
    ['a digest that is too long', `registry.example/team/app@sha256:${'0'.repeat(600)}`, 'longer than 512 characters'],
    ['a name that is too long', `registry.example/team/${'a'.repeat(240)}`, 'longer than 255 characters'],
    ['200 segments', `registry.example/${'a/'.repeat(199)}a`, 'longer than 255 characters'],
    ['a capital letter', 'registry.example/Team/app', 'capital letters'],
    ['a capital letter in its host', 'Registry.example/team/app', 'write its host in lower case'],
    ['a parent folder', 'registry.example/team/..', 'not an image reference'],
    ['a parent folder and back', 'registry.example/team/../team/app', 'not an image reference'],
    ['an empty segment', 'registry.example/team//app', 'not an image reference'],
    ['a tag that is an option', 'registry.example/team/app:-o', 'not an image reference'],
    ['a tag that is a long option', 'registry.example/team/app:--upload-pack=x', 'not an image reference'],
    ['a tag of 129 characters', `registry.example/team/app:${'a'.repeat(129)}`, 'not an image reference'],
    ['a query', 'registry.example/team/app?ref=x', 'not an image reference'],
    ['a fragment', 'registry.example/team/app#x', 'not an image reference'],
    ['a line break', 'registry.example/team/app\n', 'not an image reference'],
    ['a capture', 'registry.example/team/{name}', 'not an image reference'],
    ['an IPv6 host with a parent folder', '[::1]:5000/..', 'not an image reference'],
    ["the default registry's capital letter", 'App', 'capital letters'],
    ['a tag if the flake pins its revision', 'pinned.example/app:v1', 'only the tag latest'],
    ['a package that is not an attribute path', 'nix.local/apps/a..b', 'not an image reference'],
    ['a package that would be a full path', 'nix.local/apps/.containers', 'not an image reference'],
    ['a tag that would be a full path', 'tag.example/app:.containers', 'not an image reference'],
  ])('%s', (_what, image, words) => {
    const pinned = { images: 'pinned.example/app', flake: `github:team/app/${REV}`, package: 'image' }
    const others = ['[::1]:5000/{n}', 'docker.io/library/{n}'].map(images => ({
      images,
      flake: 'path:/srv/{n}',
      package: 'x',
    }))
    const tagged = { images: 'tag.example/app', flake: 'github:team/app', package: '{tag}' }
    const read = () => named(image, GIT, APPS, pinned, tagged, ...others)
    expect(read).toThrow(expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }))
  })
})

describe('a mistake in a name rule is reported under its key:', () => {
  const good = { images: 'r.example/{n}', flake: 'path:/srv/{n}', package: 'x' }
  it.each([
    ['a capture of the host', [{ ...good, images: '{h}/{n}' }], 'names.0.images: its host must be spelled out'],
    ['no host', [{ ...good, images: 'app/{n}' }], 'names.0.images: no image has such a name'],
    ['a capital letter', [{ ...good, images: 'r.example/Team/{n}' }], 'names.0.images: no image has such a name'],
    [
      'a segment that is partly captured',
      [{ ...good, images: 'r.example/a-{n}' }],
      'names.0.images: "a-{n}" is not a capture',
    ],
    [
      'one capture twice',
      [{ ...good, images: 'r.example/{n}/{n}' }],
      'names.0.images: it captures two segments under one name',
    ],
    ['the tag as a segment', [{ ...good, images: 'r.example/{tag}' }], 'names.0.images: {tag} matches the tag'],
    [
      'a digest',
      [{ ...good, images: `r.example/{n}@sha256:${'0'.repeat(64)}` }],
      'names.0.images: "{n}@sha256" is not',
    ],
    [
      'a store path',
      [{ ...good, images: 'nix:0/nix/store/{n}' }],
      'names.0.images: image names of the host "nix:0" already are',
    ],
    [
      'the name of a flake',
      [{ ...good, images: 'flake-github:0/{n}' }],
      'names.0.images: image names of the host "flake-github:0"',
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
    ['half a capture', [{ ...good, flake: 'path:/srv/{n' }], 'names.0.flake: it has an unmatched brace'],
    [
      'a captured host',
      [{ ...good, flake: 'git+https://{n}/a' }],
      'names.0.flake: captures are not allowed in its scheme, user or host',
    ],
    [
      'a captured user',
      [{ ...good, flake: 'git+ssh://{n}@g.example/a' }],
      'names.0.flake: captures are not allowed in its scheme',
    ],
    ['a captured scheme', [{ ...good, flake: '{n}:a/b' }], 'names.0.flake: captures are not allowed in its scheme'],
    [
      'a captured key',
      [{ ...good, flake: 'github:a/b?{n}=x' }],
      'names.0.flake: in its query, captures are allowed only in ref=… and dir=…',
    ],
    ['a captured forge', [{ ...good, flake: 'github:a/b?host={n}' }], 'names.0.flake: in its query'],
    [
      'a tag in the middle',
      [{ ...good, flake: 'git+https://g.example/{tag}/{n}' }],
      'names.0.flake: {tag} is allowed only in ref=…',
    ],
    ['no flake URL', [{ ...good, flake: '../{n}' }], 'names.0.flake'],
    [
      'a flake URL of no known scheme',
      [{ ...good, flake: 'hg+https://g.example/{n}' }],
      'names.0.flake: the flake URL',
    ],
    ['no package name', [{ ...good, package: '-{n}' }], 'names.0.package: the package name'],
    ['a package that is missing', [{ images: 'r.example/{n}', flake: 'path:/srv/{n}' }], 'names.0.package: missing'],
    ['a flake that is missing', [{ images: 'r.example/{n}', package: '{n}' }], 'names.0.flake: missing'],
    ['images that are missing', [{ flake: 'path:/srv/{n}', package: '{n}' }], 'names.0.images: missing'],
    [
      'a package set beside a flake',
      [{ ...good, images: 'r.example/{contents}', packages: 'path:/srv' }],
      'names.0.packages: a rule has either packages, or flake and package',
    ],
    [
      'a package set whose packages are not named',
      [{ images: 'r.example/{n}', packages: 'path:/srv/{n}' }],
      'names.0.images: a rule with packages must end in {contents}',
    ],
    [
      'contents without a package set',
      [{ ...good, images: 'r.example/{n}/{contents}' }],
      'names.0.images: {contents} needs a package set',
    ],
    [
      'contents that do not come last',
      [{ images: 'r.example/{contents}/x', packages: 'path:/srv' }],
      'names.0.images: {contents} matches all further segments',
    ],
    [
      'contents twice',
      [{ images: 'r.example/{contents}/{contents}', packages: 'path:/srv' }],
      'names.0.images: {contents} matches all further segments',
    ],
    [
      'contents in the flake of a package set',
      [{ images: 'r.example/{contents}', packages: 'path:/srv/{contents}' }],
      'names.0.packages: "{contents}" is not captured: {tag} can be used',
    ],
    [
      'a capture that a package set does not use',
      [{ images: 'r.example/{n}/{contents}', packages: 'path:/srv' }],
      'names.0.images: {n} is not used in packages',
    ],
    [
      'a captured host of a package set',
      [{ images: 'r.example/{n}/{contents}', packages: 'git+https://{n}/x' }],
      'names.0.packages: captures are not allowed in its scheme, user or host',
    ],
    [
      'a package set that is not a flake URL',
      [{ images: 'r.example/{contents}', packages: 'nixpkgs' }],
      'names.0.packages: captures are not allowed in its scheme',
    ],
    [
      'a package set whose host is captured as contents',
      [{ images: '{contents}', packages: 'path:/srv' }],
      'names.0.images: its host must be spelled out',
    ],
    [
      'a rule after a package set that matches all its images',
      [
        { images: 'r.example/{contents}', packages: 'path:/srv' },
        { ...good, images: 'r.example/a/{n}' },
      ],
      'names.1.images: never matches: names.0, "r.example/{contents}"',
    ],
    [
      'a package set after a more general one',
      [
        { images: 'r.example/{contents}', packages: 'path:/srv' },
        { images: 'r.example/a/{contents}', packages: 'path:/a' },
      ],
      'names.1.images: never matches: names.0',
    ],
    [
      'a package set that comes twice',
      [
        { images: 'r.example/{a}/{contents}', packages: 'path:/srv/{a}' },
        { images: 'r.example/{b}/{contents}', packages: 'path:/srv/{b}' },
      ],
      'names.1.images: never matches: names.0',
    ],
    [
      'package sets that share images',
      [
        { images: 'r.example/{n}/b/{contents}', packages: 'path:/srv/{n}' },
        { images: 'r.example/a/{contents}', packages: 'path:/srv' },
      ],
      'names.1.images: ambiguous: r.example/a/b/x matches this rule and names.0',
    ],
    [
      'a package set that shares images with a rule for packages',
      [
        { ...good, images: 'r.example/{n}/b' },
        { images: 'r.example/a/{contents}', packages: 'path:/srv' },
      ],
      'names.1.images: ambiguous: r.example/a/b matches this rule and names.0',
    ],
    [
      'a package set of one tag beside a rule for all tags of some of its images',
      [
        { ...good, images: 'r.example/a', flake: 'path:/x' },
        { images: 'r.example/{contents}:v1', packages: 'path:/srv' },
      ],
      'names.1.images: ambiguous: r.example/a:v1',
    ],
    ['an unknown key', [{ ...good, pakage: 'x' }], 'names.0.pakage: unknown key, did you mean package?'],
    [
      'a rule that comes twice',
      [good, { ...good, images: 'r.example/{m}', flake: 'path:/x/{m}' }],
      'names.1.images: never matches: names.0, "r.example/{n}"',
    ],
    [
      'a rule after a more general one',
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
      'names.1.images: ambiguous: r.example/a/b matches this rule and names.0, "r.example/a/{n}"',
    ],
    [
      'rules that share images by a tag',
      [
        { ...good, images: 'r.example/a', flake: 'path:/x' },
        { ...good, images: 'r.example/{n}:v1' },
      ],
      'names.1.images: ambiguous: r.example/a:v1 matches this rule',
    ],
  ])('%s', (_what, names, message) => {
    expect(() => parseConfig(JSON.stringify({ names }), 'config.yaml')).toThrow(
      expect.objectContaining({ code: 'ConfigInvalid', message: expect.stringContaining(message) }),
    )
  })

  it('but rules for other hosts, depths and tags are valid', () => {
    const names = [
      good,
      { ...good, images: 'r.example/a/{n}' },
      { ...good, images: 's.example/{n}:v1' },
      { ...good, images: 's.example/{n}:v2' },
      { ...good, images: 's.example/{n}' },
      { images: 's.example/a/{n}/{contents}', packages: 'path:/srv/{n}' },
      { images: 's.example/a/{contents}', packages: 'path:/srv' },
      { images: 's.example/{contents}', packages: 'path:/srv' },
      { images: 't.example/{contents}:v3', packages: 'path:/srv/3' },
      { images: 't.example/{contents}', packages: 'path:/srv' },
    ]
    expect(parseConfig(JSON.stringify({ names }), 'config.yaml').names).toEqual(names)
  })
})
