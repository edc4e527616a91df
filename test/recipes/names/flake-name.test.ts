import { describe, expect, it } from 'vitest'
import { formatFlakeName } from '../../../recipes/names/flake-name.ts'
import { createNames } from '../../../recipes/names/names.ts'
import { formatRecipe } from '../../../recipes/recipe.ts'
import { normalizeReference } from '../../../recipes/reference.ts'

const REV = '0123456789abcdef0123456789abcdef01234567'

function flakeOf(image: string, flakeNames = true): string | undefined {
  const recipe = createNames({ rules: [], flakeNames, system: 'x86_64-linux' }).recipeOf(image)
  return recipe && formatRecipe(recipe)
}

describe('the image name of a flake', () => {
  it.each([
    ['flake-github:0/owner/repo', 'github:owner/repo#default'],
    ['flake-github:0/owner/repo:latest', 'github:owner/repo#default'],
    ['flake-github:0/owner/repo:v1.0', 'github:owner/repo/v1.0#default'],
    [`flake-github:0/owner/repo:${REV}`, `github:owner/repo/${REV}#default`],
    ['flake-github:0/owner/repo/main', 'github:owner/repo/main#default'],
    ['flake-github:0/owner/nix--x2d--repo--x23--image', 'github:owner/nix-repo#image'],
    ['flake-github:0/owner/repo--x23----x2e--containers.web', 'github:owner/repo#.containers.web'],
    ['flake-github:0/owner/nix-repo--x23--redis--x57--ith--x53--hell', 'github:owner/nix-repo#redisWithShell'],
    ['flake-github:0/owner/repo--q--ref--eq--main--amp--dir--eq--sub', 'github:owner/repo?dir=sub&ref=main#default'],
    ['flake-github:0/owner/repo--x3f--ref--x3d--main--x23--web', 'github:owner/repo?ref=main#web'],
    ['flake-git-https:0/git.example/team/app:main', 'git+https://git.example/team/app?ref=main#default'],
    [`flake-git-https:0/git.example/team/app:${REV}`, `git+https://git.example/team/app?rev=${REV}#default`],
    ['flake-git-http:0/git.example/app--q--dir--eq--sub:v1', 'git+http://git.example/app?dir=sub&ref=v1#default'],
    ['flake-git-ssh:0/git--at--git.example/team/app', 'git+ssh://git@git.example/team/app#default'],
    ['flake-git-ssh:0/git--at--git.example--x3a--2222/app', 'git+ssh://git@git.example:2222/app#default'],
    ['flake-git-ssh:0/git--at----x5b----x3a----x3a--1--x5d----x3a--22/app', 'git+ssh://git@[::1]:22/app#default'],
    ['flake-tarball-https:0/host.example/a/main.tar.gz', 'https://host.example/a/main.tar.gz#default'],
    ['flake-tarball-http:0/host.example/a', 'tarball+http://host.example/a#default'],
  ])('%s stands for %s', (image, flake) => {
    expect(flakeOf(image)).toBe(flake)
  })

  it('is an ordinary name unless the config has flakeNames: true', () => {
    expect(flakeOf('flake-github:0/owner/repo', false)).toBeUndefined()
  })

  it.each([
    ['no repository', 'flake-github:0/owner', 'not followed by owner/repo'],
    ['a parent folder in a segment', 'flake-git-https:0/git.example/team/a--x2e----x2e--x/b', undefined],
    [
      'a segment that is a parent folder',
      'flake-git-https:0/git.example/a--x2f----x2e----x2e----x2f--b',
      '".." segment',
    ],
    ['a host behind another', 'flake-git-https:0/good.example--at--evil.example/app', 'user name or password'],
    ['a password', 'flake-git-ssh:0/git--x3a--secret--at--git.example/app', 'password'],
    ['an option for a user', 'flake-git-ssh:0/a--x20---oproxy--at--git.example/app', 'white space'],
    ['an option for a segment', 'flake-git-https:0/git.example/a--x2f---upload-pack/b', 'starts with "-"'],
    ['a query key that nix would take', 'flake-git-https:0/git.example/app--q--url--eq--evil', 'its query has "url"'],
    ['a hash that does not lock', 'flake-github:0/o/r--q--nar--x48--ash--eq--sha256', 'does not lock a flake'],
    ['a second fragment', 'flake-github:0/o/r--x23--a--x23--b', 'more than one "#"'],
    ['an invalid package', 'flake-github:0/o/r--x23---a', 'package name'],
    ['a line break', 'flake-github:0/o/r--x0a--x', 'white space or a line break'],
    ['a zero byte', 'flake-github:0/o/r--x00--x', 'printable ASCII'],
    ['bytes that are not ASCII', 'flake-github:0/o/r--xff--x', 'printable ASCII'],
    [
      'a brace that a tag could fill',
      'flake-github:0/o/r/a--x7b--tag--x7d--b:v1',
      'which is not allowed in flake URLs',
    ],
    ['two revisions', `flake-github:0/owner/repo/main:${REV}`, 'already has a revision'],
    ['a revision of a tarball', 'flake-tarball-https:0/host.example/a.tar.gz:v1', 'its scheme cannot have one'],
    ['a proposal', 'flake-github:0/owner/repo/pull/1/head', 'proposals'],
    ['a tag that is not a valid ref', 'flake-github:0/owner/repo:v1..2', 'name of a branch'],
  ])('is rejected for %s', (_what, image, words) => {
    if (words === undefined) return expect(flakeOf(image)).not.toContain('/../')
    expect(() => flakeOf(image)).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }),
    )
  })

  it.each([
    ['github:owner/repo', 'flake-github:0/owner/repo'],
    ['github:owner/repo#default', 'flake-github:0/owner/repo'],
    [
      'github:owner/nix-repo/v1.0#redisWithShell',
      'flake-github:0/owner/nix-repo--x23--redis--x57--ith--x53--hell:v1.0',
    ],
    ['github:owner/repo#.containers.web', 'flake-github:0/owner/repo--x23----x2e--containers.web'],
    [`github:owner/repo/${REV}#web`, `flake-github:0/owner/repo--x23--web:${REV}`],
    [`github:owner/repo?rev=${REV}#web`, `flake-github:0/owner/repo--x3f--rev--x3d--${REV}--x23--web`],
    ['git+https://git.example/app?dir=sub&ref=main', 'flake-git-https:0/git.example/app--x3f--dir--x3d--sub:main'],
    ['git+ssh://git@git.example:22/app', 'flake-git-ssh:0/git--x40--git.example--x3a--22/app'],
    ['https://host.example/a.tar.gz#x', 'flake-tarball-https:0/host.example/a.tar.gz--x23--x'],
    ['github:owner/repo/refs/tags/v1', 'flake-github:0/owner/repo/refs/tags/v1'],
    ['github:owner/a--x41--b', 'flake-github:0/owner/a--x2d----x2d--x41--x2d----x2d--b'],
    ['github:owner/a--at--b', 'flake-github:0/owner/a--x2d----x2d--at--x2d----x2d--b'],
    ['github:owner/repo/latest', 'flake-github:0/owner/repo/latest'],
    [
      `git+https://git.example/app?ref=main&rev=${REV}`,
      `flake-git-https:0/git.example/app--x3f--ref--x3d--main--x26--rev--x3d--${REV}`,
    ],
  ])('of %s is %s, which stands for it again', (flake, image) => {
    expect(formatFlakeName(flake)).toBe(image)
    expect(normalizeReference(image)).toMatch(image)
    expect(flakeOf(image)).toBeDefined()
  })

  it.each([
    [
      'a segment that begins with a capital letter',
      'github:NixOS/nixpkgs',
      'GitHub also accepts owner and repo in lower case',
    ],
    ['a scheme without names', 'path:/srv/app', 'flakes of the scheme path cannot be written as image names'],
    ['a name that would be too long', `github:owner/${'A'.repeat(60)}x`, '255 characters'],
    ['an invalid flake URL', 'nowhere', 'the flake URL'],
  ])('cannot be formatted for %s', (_what, flake, words) => {
    expect(() => formatFlakeName(flake)).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }),
    )
  })
})
