import { describe, expect, it } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { findUnknownPlaceholder } from '../../../recipes/policy/pattern.ts'
import { createPolicy, type PolicyRule } from '../../../recipes/policy/policy.ts'

const REV = 'a'.repeat(40)
const rule: PolicyRule = {
  namespaces: ['team-*'],
  images: ['registry.example/team/*'],
  flakes: ['git+https://git.example/team/*', 'github:team/*'],
  requireLocked: false,
  replaceForeign: false,
  plainPackages: false,
  maxImageSize: 2 ** 30,
}

function recipe(image = 'registry.example/team/app:1', flake = 'git+https://git.example/team/app') {
  return { image, flake: parseFlakeUrl(flake), packageName: 'app', system: 'x86_64-linux' }
}

function packageSet(flake = 'github:NixOS/nixpkgs', ...contents: readonly string[]) {
  const image = 'registry.example/team/curl/jq:latest'
  return {
    image,
    flake: parseFlakeUrl(flake),
    contents: contents.length > 0 ? contents : ['curl', 'jq'],
    system: 'x86_64-linux',
  }
}

/** A rule for package sets. */
const setRule: PolicyRule = { ...rule, images: ['registry.example/team/**'], flakes: ['packages:github:NixOS/nixpkgs'] }

const HASH = 'a'.repeat(32)

function storePath(name: string) {
  return { image: `nix:0/nix/store/${HASH}-${name}:latest`, storePath: `/nix/store/${HASH}-${name}` }
}

it.each(['github:**', 'github:*/**', 'github:*', 'github:team/**', 'git+https://**', 'github:git.example/team/*'])(
  'the pattern %j does not allow a forge of another host',
  pattern => {
    const policy = createPolicy([{ ...rule, flakes: [pattern] }])
    expect(() => policy('team-a', recipe(undefined, 'github:team/app?host=git.example'))).toThrow(
      'allows flake "github+https://git.example/team/app"',
    )
  },
)

describe('the policy allows', () => {
  it.each([
    ['what the rule describes', {}, 'team-a', recipe()],
    [
      'a flake with revision and folder',
      {},
      'team-a',
      recipe(undefined, `git+https://git.example/team/app?dir=a/b&rev=${REV}`),
    ],
    ['a forge flake at a revision', {}, 'team-a', recipe(undefined, `github:team/app/${REV}`)],
    [
      'a forge of a host that the rule names',
      { flakes: ['github+https://git.example/team/*'] },
      'team-a',
      recipe(undefined, 'github:team/app?host=Git.Example'),
    ],
    ['a forge whose own host is named', {}, 'team-a', recipe(undefined, 'github:team/app?host=github.com')],
    ['an image by digest', {}, 'team-a', recipe(`registry.example/team/app@sha256:${REV}${'a'.repeat(24)}`)],
    ['an image whose tag the pattern names', { images: ['registry.example/team/app:1'] }, 'team-a', recipe()],
    ['anything if each pattern is a lone star', { namespaces: ['*'], images: ['*'], flakes: ['*'] }, '', recipe()],
    [
      'deep paths by two stars',
      { flakes: ['git+https://git.example/**'] },
      'team-a',
      recipe(undefined, 'git+https://git.example/a/b/c'),
    ],
    ['a local flake that is spelled out', { flakes: ['path:/srv/**'] }, 'team-a', recipe(undefined, 'path:/srv/a/b')],
    [
      'a locked flake if one is required',
      { requireLocked: true },
      'team-a',
      recipe(undefined, `github:team/app/${REV}`),
    ],
  ])('%s', (_name, change, namespace, wanted) => {
    expect(createPolicy([{ ...rule, ...change }])(namespace, wanted)).toMatchObject(change)
  })

  it.each([
    ['nix:0/nix/store/*', storePath('app')],
    [`nix:0/nix/store/${HASH}-app`, storePath('app')],
    [`nix:0/nix/store/${HASH}-app:latest`, storePath('app')],
  ])('a store path that the pattern %s spells out, whatever the flakes', (pattern, wanted) => {
    const allowing = { ...rule, images: ['registry.example/*', pattern] }
    expect(createPolicy([rule, allowing])('team-a', wanted)).toBe(allowing)
  })

  it('with the first rule that matches namespace, image and flake', () => {
    const policy = createPolicy([
      { ...rule, images: ['registry.example/other/*'] },
      rule,
      { ...rule, replaceForeign: true },
    ])
    expect(policy('team-a', recipe())).toBe(rule)
  })
})

describe('{namespace} in a pattern', () => {
  const own = {
    ...rule,
    namespaces: ['*'],
    images: ['registry.example/{namespace}/*'],
    flakes: ['git+https://git.example/{namespace}/*', 'packages:github:{namespace}/*'],
  }
  const policy = createPolicy([own])

  it.each([
    ['image and flake', 'team', recipe()],
    ['image and package set', 'team', packageSet('github:team/packages')],
  ])('allows %s of the namespace', (_what, namespace, wanted) => {
    const deep = { ...own, images: ['registry.example/{namespace}/**'] }
    expect(createPolicy([deep])(namespace, wanted)).toBe(deep)
  })

  it.each([
    ['an image of another namespace', 'other', recipe(), 'allows image'],
    ['a flake of another namespace', 'team', recipe(undefined, 'git+https://git.example/other/app'), 'allows flake'],
    ['a namespace that begins alike', 'tea', recipe(), 'allows image'],
    ['a namespace that is a wildcard', '*', recipe(), 'allows image'],
    ['a namespace that is a character set', '[t]eam', recipe(), 'allows image'],
    ['a namespace with a segment of its own', 'team/deep', recipe('registry.example/team/deep/app:1'), 'allows image'],
    ['a pull without a namespace', '', recipe('registry.example/app:1'), 'allows image'],
    [
      'a namespace called as the placeholder',
      '{namespace}',
      recipe('registry.example/{namespace}/app'),
      'allows image',
    ],
  ])('does not allow %s', (_what, namespace, wanted, reason) => {
    expect(() => policy(namespace, wanted)).toThrow(
      expect.objectContaining({ code: 'PolicyRefused', message: expect.stringContaining(reason) }),
    )
  })

  it('does not spell out a local flake', () => {
    const local = createPolicy([{ ...own, flakes: ['{namespace}:/srv/*'] }])
    expect(() => local('path', recipe('registry.example/path/app', 'path:/srv/app'))).toThrow('starts with "path:"')
  })

  it('stands for nothing in namespaces and contents', () => {
    expect(() => createPolicy([{ ...own, namespaces: ['{namespace}'] }])('team', recipe())).toThrow('namespace "team"')
    const contents = createPolicy([{ ...setRule, contents: ['{namespace}'] }])
    expect(() => contents('team-a', packageSet(undefined, 'team-a'))).toThrow('in its contents')
  })

  it.each([
    ['registry.example/{namespace}/*', undefined],
    ['registry.example/{ns}/*', '{ns}'],
    ['{namespace}/{}', '{}'],
    ['path:/srv/\\{a}', undefined],
    ['path:/srv/{a', undefined],
  ])('is the only placeholder in %s', (pattern, unknown) => {
    expect(findUnknownPlaceholder(pattern)).toBe(unknown)
  })
})

describe('the policy refuses with the reason', () => {
  it.each([
    ['anything without a rule', undefined, 'team-a', recipe(), 'no rule'],
    ['another namespace', {}, 'prod', recipe(), 'namespace "prod"'],
    ['an empty namespace', {}, '', recipe(), 'namespace ""'],
    [
      'another image',
      {},
      'team-a',
      recipe('registry.example/other/app:1'),
      'allows image "registry.example/other/app:1"',
    ],
    ['an image one level deeper', {}, 'team-a', recipe('registry.example/team/deep/app:1'), 'allows image'],
    [
      'a forge of another host than the rule says',
      { flakes: ['github+https://git.example/*/*'] },
      'team-a',
      recipe(undefined, 'github:team/app?host=evil.example'),
      'allows flake "github+https://evil.example/team/app"',
    ],
    ['another flake', {}, 'team-a', recipe(undefined, 'github:other/app'), 'allows flake "github:other/app"'],
    [
      'a flake behind another host',
      {},
      'team-a',
      recipe(undefined, 'git+https://git.example.evil/team/app'),
      'allows flake',
    ],
    [
      'a local flake by a lone star',
      { flakes: ['*'] },
      'team-a',
      recipe(undefined, 'path:/etc'),
      'starts with "path:"',
    ],
    [
      'a local repository by two stars',
      { flakes: ['**'] },
      'team-a',
      recipe(undefined, 'git+file:///srv/x'),
      'starts with "git+file:"',
    ],
    ['a store path by stars', { images: ['*', '**'] }, 'team-a', storePath('app'), 'starts with "nix:0/"'],
    ['another store path', { images: ['nix:0/nix/store/*-web'] }, 'team-a', storePath('app'), 'allows image "nix:0/'],
    ['a store path of another namespace', { images: ['nix:0/**'] }, 'prod', storePath('app'), 'namespace "prod"'],
    ['an unlocked flake if a locked one is required', { requireLocked: true }, 'team-a', recipe(), 'locked'],
  ])('%s', (_name, change, namespace, wanted, reason) => {
    const policy = createPolicy(change ? [{ ...rule, ...change }] : [])
    expect(() => policy(namespace, wanted)).toThrow(
      expect.objectContaining({ code: 'PolicyRefused', retryable: false, message: expect.stringContaining(reason) }),
    )
  })
})

describe('a package set', () => {
  it.each([
    ['by a pattern that spells it out', {}, packageSet()],
    ['at any ref of it', {}, packageSet('github:NixOS/nixpkgs/nixos-25.05')],
    ['by stars behind "packages:"', { flakes: ['packages:github:**', 'packages:github:*/*'] }, packageSet()],
    ['beside flakes', { flakes: ['github:team/*', 'packages:github:NixOS/*'] }, packageSet()],
    ['on this machine, spelled out', { flakes: ['packages:path:/srv/*'] }, packageSet('path:/srv/pkgs')],
    ['at a revision if one is required', { requireLocked: true }, packageSet(`github:NixOS/nixpkgs/${REV}`)],
    ['of any contents', { contents: ['*'] }, packageSet(undefined, 'a', 'python3Packages.requests')],
    ['of contents in the list', { contents: ['jq', 'curl', 'htop'] }, packageSet()],
    ['of contents that patterns match', { contents: ['c*', '[a-k]?'] }, packageSet()],
    [
      'of deeply nested contents',
      { contents: ['python3Packages.**'] },
      packageSet(undefined, 'python3Packages.pkgs.requests'),
    ],
    ['of nested contents', { contents: ['python3Packages.*'] }, packageSet(undefined, 'python3Packages.requests')],
    [
      'of a shell',
      { contents: ['shell', 'jq'] },
      packageSet(undefined, 'bashInteractive', 'coreutils', 'jq', 'moreutils', 'nano'),
    ],
  ])('is allowed %s', (_what, change, wanted) => {
    expect(createPolicy([{ ...setRule, ...change }])('team-a', wanted)).toMatchObject(change)
  })

  it.each([
    ['by a lone star', { flakes: ['*'] }, packageSet(), 'pattern that starts with "packages:"'],
    [
      'by stars',
      { flakes: ['**', 'p*:**', '[p]ackages:github:NixOS/nixpkgs', '?ackages:**'] },
      packageSet(),
      'starts with "packages:"',
    ],
    [
      'by a pattern for its flake',
      { flakes: ['github:NixOS/nixpkgs'] },
      packageSet(),
      'allows flake "packages:github:NixOS/nixpkgs"',
    ],
    [
      'by a pattern for another set',
      { flakes: ['packages:github:team/*'] },
      packageSet(),
      'allows flake "packages:github:NixOS/nixpkgs"',
    ],
    [
      'of another host',
      { flakes: ['packages:github:**'] },
      packageSet('github:NixOS/nixpkgs?host=evil.example'),
      'evil.example',
    ],
    [
      'on this machine by stars',
      { flakes: ['packages:**', 'packages:*', 'path:/srv/*'] },
      packageSet('path:/srv/pkgs'),
      'starts with "packages:path:"',
    ],
    [
      'at a branch if a revision is required',
      { requireLocked: true },
      packageSet('github:NixOS/nixpkgs/nixos-25.05'),
      'locked',
    ],
    ['for another image', { images: ['registry.example/team/curl'] }, packageSet(), 'allows image'],
    ['of contents that are not in the list', { contents: ['curl'] }, packageSet(), 'allows "jq" in its contents'],
    [
      'of a part of a shell',
      { contents: ['shell'] },
      packageSet(undefined, 'bash', 'nano'),
      'allows "bash" in its contents',
    ],
    [
      'of contents deeper than a star goes',
      { contents: ['python3Packages.*', 'curl*'] },
      packageSet(undefined, 'python3Packages.pkgs.nmap', 'curl.stdenv.cc'),
      'allows "python3Packages.pkgs.nmap", "curl.stdenv.cc" in its contents',
    ],
    [
      'of contents in another case',
      { contents: ['curl'] },
      packageSet(undefined, 'Curl'),
      'allows "Curl" in its contents',
    ],
    ['of quoted contents', { contents: ['curl'] }, packageSet(undefined, '"curl"'), 'in its contents'],
    [
      'of contents below what is in the list',
      { contents: ['python3Packages'] },
      packageSet(undefined, 'python3Packages.x'),
      'in its contents',
    ],
    [
      'of many others',
      { contents: ['x'] },
      packageSet(undefined, ...'abcdefg'),
      'allows "a", "b", "c", "d", "e" and 2 more in its contents',
    ],
    ['of a system as contents', { contents: ['amd64'] }, packageSet(), 'allows "curl", "jq" in its contents'],
  ])('is refused %s', (_what, change, wanted, reason) => {
    const refuse = () => createPolicy([{ ...setRule, ...change }])('team-a', wanted)
    expect(refuse).toThrow(expect.objectContaining({ code: 'PolicyRefused', message: expect.stringContaining(reason) }))
    // A refusal names image and flake.
    expect(refuse).toThrow(`building "${wanted.image}" from "packages:${wanted.flake.source}"`)
  })

  it('is decided by the first rule that allows its contents', () => {
    const [curl, jq, both] = [['curl'], ['jq'], ['curl', 'jq']].map(contents => ({ ...setRule, contents }))
    if (!(curl && jq && both)) throw new Error('no rules')
    const policy = createPolicy([curl, jq, both])
    expect(policy('team-a', packageSet(undefined, 'jq'))).toBe(jq)
    expect(policy('team-a', packageSet())).toBe(both)
    expect(() => createPolicy([curl, jq])('team-a', packageSet())).toThrow(
      'none of the 2 rules for namespace "team-a" and image "registry.example/team/curl/jq:latest" allows all of its contents; the first does not allow "jq"',
    )
  })

  it('is all that a pattern for package sets can allow', () => {
    const policy = createPolicy([{ ...rule, flakes: ['packages:github:team/*', 'packages:**'], contents: ['app'] }])
    expect(() => policy('team-a', recipe(undefined, 'github:team/app'))).toThrow('allows flake "github:team/app"')
  })

  it('has contents that do not restrict single packages of a flake', () => {
    const mixed = { ...rule, flakes: ['github:team/*', 'packages:github:NixOS/nixpkgs'], contents: ['jq'] }
    expect(createPolicy([mixed])('team-a', recipe(undefined, 'github:team/app'))).toBe(mixed)
  })
})
