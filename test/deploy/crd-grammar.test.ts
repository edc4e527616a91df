import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SHIM } from '../../kube/resources/names.ts'
import { nixBuilds } from '../../kube/resources/nixbuild.ts'
import { nixBuildOf, recipeOf } from '../../kube/resources/nixbuild-recipe.ts'
import { useCrd } from './crd-cluster.ts'
import { SET_SPEC, SPEC } from './nixbuilds.ts'

const REV = '0123456789abcdef0123456789abcdef01234567'
const HASH = encodeURIComponent('sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
const MOST = Array.from({ length: 128 }, (_, index) => `p${index}`.padEnd(32, 'x'))
const LONGEST = Array.from({ length: 16 }, (_, index) => `p${index}`.padEnd(256, 'x'))
let api: Awaited<ReturnType<typeof useCrd>>

beforeAll(async () => {
  api = await useCrd()
})

afterAll(() => api?.[Symbol.asyncDispose]())

describe('the API server accepts a NixBuild that the shim accepts:', () => {
  test.each([
    ...[
      'github:owner/repo',
      'github:owner/repo/feature/x',
      `github:owner/repo/${REV}`,
      `github:owner/.dotfiles?rev=${REV}`,
      'gitlab:owner/repo?dir=sub/dir',
      'sourcehut:~owner/repo',
      `git+https://git.example:8443/a.git?ref=refs/tags/v1&rev=${REV}`,
      'git+https://GIT.Example/My%20Team/a',
      'git+https://h.example/a?ref=a+b/c',
      'git+http://[::1]:80/a',
      'git+ssh://git@git.example/a?submodules=1',
      'git+file:///srv/a?shallow=1',
      'path:/srv/a',
      `path:/srv/a?dir=x&narHash=${HASH}`,
      'https://h.example/a.tar.gz',
      `tarball+https://h.example/latest?narHash=${HASH}`,
      'tarball+file:///srv/a.tar.xz',
      'file:///srv/a.tar.xz',
      'https://h.example/f/team/app/0.1.*.tar.gz',
      'gitlab:owner/repo?host=git.example',
      'git+https://git.example/team/app/?verifyCommit=1&publicKey=AAAAC3NzaC1lZDI1%2B%2F%3D',
      'flake:nixpkgs',
      `flake:nixpkgs/main/${REV}`,
      `github:owner/${'r'.repeat(1024 - 'github:owner/'.length)}`,
    ].map(value => ['flakeUrl', value] as const),
    ...[
      'app',
      'app:1',
      'team/app',
      'localhost/app',
      'localhost:5000/app:v1.0_a-b',
      'registry.example/a/b/c__d.e--f:1',
      `app@sha256:${'0'.repeat(64)}`,
      `registry.example/app:1@sha256:${'a'.repeat(64)}`,
      'REGISTRY.example/app',
      '[::1]:5000/app:1',
    ].map(value => ['imageTag', value] as const),
    ...[
      'app',
      'images.web',
      'images."web.v2"',
      '"a@b:c~d"',
      "a'b+c",
      '_1',
      '.containers.x86_64-linux.web',
      'a'.repeat(256),
    ].map(value => ['packageName', value] as const),
    ...['x86_64-linux', 'aarch64-linux', 'armv7l-linux', 'aarch64-darwin'].map(value => ['system', value] as const),
  ])('%s %s', async (field, value) => {
    const recipe = recipeOf({ spec: { ...SPEC, [field]: value } })
    await api.create({ ...SPEC, [field]: value })
    // The form that the shim and the controller write.
    await api.create(nixBuildOf(recipe, { namespace: 'any', managedBy: SHIM }).body.spec)
  })

  test.each([
    ['one name', ['curl']],
    ['nested and quoted names', ['python3Packages.requests', '"web.v2"', "a'b+c"]],
    ['a name twice', ['jq', 'curl', 'jq']],
    ['a name that stands for a shell', ['shell', 'curl']],
    ['a name that stands for its system', ['amd64', 'curl']],
    ['the greatest number of names', MOST],
    ['names of the greatest length', LONGEST],
  ])('contents: %s', async (_, contents) => {
    const spec = { ...SET_SPEC, contents }
    await api.create(spec)
    await api.create(nixBuildOf(recipeOf({ spec }), { namespace: 'any', managedBy: SHIM }).body.spec)
  })
})

describe('the API server rejects a NixBuild that the shim rejects:', () => {
  test.each([
    ...[
      '',
      'nixpkgs',
      './a',
      '-I',
      '--option',
      'github:o/r ',
      'github:o/ r',
      'github:o/r\n--impure',
      'github:o/r#app',
      'github:o/$(id)',
      'github:o/r;id',
      'github:owner',
      'git+https://user:secret@git.example/a',
      'git+https://user@git.example/a',
      'git+ssh://git:secret@git.example/a',
      'git+https://git.example',
      'git+https://git.example/',
      'git+https://git.example/a//b',
      'git+https://git.example/-a',
      'git+file://srv/a',
      'path:a',
      'path:./a',
      'http+unix://a/b',
      'github:o/r?',
      'github:o/r?x',
      'github:o/r\u202e',
      `github:owner/${'r'.repeat(1025 - 'github:owner/'.length)}`,
    ].map(value => ['flakeUrl', value] as const),
    ...[
      '',
      'UPPER',
      'app:',
      'app: 1',
      '-app',
      'app/',
      '/app',
      'https://registry.example/app',
      'registry.example/App',
      `app:${'t'.repeat(129)}`,
      'app@sha256:00',
      'nix:0/nix/store/00000000000000000000000000000000-nix-image-web.tar',
      'a'.repeat(513),
    ].map(value => ['imageTag', value] as const),
    ...['', '.', 'a.', '..a', 'a..b', '-a', 'a b', '$(id)', '"a', 'a"b"', '#a', 'a'.repeat(257)].map(
      value => ['packageName', value] as const,
    ),
    ...['', 'linux', 'x86_64-', 'X86_64-linux', 'x86_64-linux ', '-linux', 'a-b-c'].map(
      value => ['system', value] as const,
    ),
  ])('%s %j', async (field, value) => {
    expect(() => recipeOf({ spec: { ...SPEC, [field]: value } })).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid' }),
    )
    await expect(api.create({ ...SPEC, [field]: value })).rejects.toThrow(refusal(`spec.${field}`))
  })

  test.each([
    ['no name', [], 'spec.contents'],
    ['too many names', [...MOST, 'one-more'], 'spec.contents'],
    ['too many characters', [...LONGEST, 'p'], 'more than 4096 characters'],
    ['an empty name', ['curl', ''], 'spec.contents[1]'],
    ['an option', ['curl', '--impure'], 'spec.contents[1]'],
    ['a full attribute path', ['.packages.x86_64-linux.curl'], 'spec.contents[0]'],
    ['a path', ['curl', '../../etc'], 'spec.contents[1]'],
    ['a list in one name', ['curl jq'], 'spec.contents[0]'],
    ['a name that is too long', ['a'.repeat(257)], 'spec.contents[0]'],
    ['a name that stands for another system', ['arm64', 'curl'], 'aarch64-linux'],
  ])('contents: %s', async (_, contents, about) => {
    const spec = { ...SET_SPEC, contents }
    expect(() => recipeOf({ spec })).toThrow(expect.objectContaining({ code: 'RecipeInvalid' }))
    await expect(api.create(spec)).rejects.toThrow(refusal(about))
  })

  test.each([
    ['both a package and contents', { ...SPEC, ...SET_SPEC }],
    ['neither a package nor contents', { ...SPEC, packageName: undefined }],
  ])('%s', async (_, spec) => {
    const about = 'either packageName or contents'
    expect(() => recipeOf({ spec })).toThrow(about)
    await expect(api.create(spec)).rejects.toThrow(refusal(about))
  })

  test.each(['flakeUrl', 'imageTag', 'system'] as const)('without %s', async field => {
    const { [field]: _, ...rest } = SPEC
    await expect(api.create(rest)).rejects.toThrow(refusal(`spec.${field}: Required value`))
  })

  test('without a recipe', async () => {
    const body = {}
    await expect(api.kube.create(nixBuilds, { namespace: api.namespace, name: api.newName(), body })).rejects.toThrow(
      refusal('spec'),
    )
  })
})

function refusal(about: string) {
  return expect.objectContaining({ code: 'ClusterRefused', message: expect.stringContaining(about) })
}
