import { describe, expect, it } from 'vitest'
import { expandContents, parseContents } from '../../recipes/contents.ts'

const SHELL = ['bashInteractive', 'coreutils', 'moreutils', 'nano']

describe('a list of names', () => {
  it.each([
    ['one package', ['jq'], ['jq']],
    ['packages in any order', ['jq', 'curl'], ['curl', 'jq']],
    ['each package once', ['jq', 'curl', 'jq'], ['curl', 'jq']],
    ['nested packages', ['python3Packages.requests', 'a."b.c"'], ['a."b.c"', 'python3Packages.requests']],
    ['a name with a leading digit', ['7zz'], ['7zz']],
    ['a shell', ['shell'], SHELL],
    ['a shell and more', ['shell', 'jq'], [...SHELL.slice(0, 2), 'jq', ...SHELL.slice(2)]],
    ['a shell twice', ['shell', 'shell', 'nano'], SHELL],
    ['packages whose names begin like meta-packages', ['shellcheck', 'arm64-tools'], ['arm64-tools', 'shellcheck']],
    ['as many packages as fit', Array.from({ length: 128 }, (_, n) => `p${n + 100}`), undefined],
  ])('stands for %s', (_what, names, contents) => {
    expect(parseContents(names, 'x86_64-linux')).toEqual({ contents: contents ?? names, system: 'x86_64-linux' })
  })

  it.each([
    [['arm64', 'jq'], 'aarch64-linux', ['jq']],
    [['amd64', 'jq'], 'x86_64-linux', ['jq']],
    [['arm64', 'shell'], 'aarch64-linux', SHELL],
    [['shell', 'arm64', 'nano'], 'aarch64-linux', SHELL],
    [['arm64', 'arm64', 'jq'], 'aarch64-linux', ['jq']],
    [['jq'], 'riscv64-linux', ['jq']],
  ])('chooses the system: %j is for %s', (names, system, contents) => {
    expect(parseContents(names, 'riscv64-linux')).toEqual({ contents, system })
  })

  it.each([
    ['no name', [], 'name no package'],
    ['a system alone', ['arm64'], 'name no package'],
    ['two systems', ['arm64', 'amd64', 'jq'], 'more than one system: aarch64-linux, x86_64-linux'],
    ['a meta-package after a package', ['jq', 'shell'], '"shell" stands for no package, so it must come first'],
    ['a system after a package', ['shell', 'jq', 'arm64'], '"arm64" stands for no package'],
    ['an empty name', ['jq', ''], 'the package name is empty'],
    ['a parent folder', ['..'], 'not valid'],
    ['an option', ['-o'], 'not valid'],
    ['a path', ['a/b'], 'not valid'],
    ['an interpolation', [`a\${b}`], 'not valid'],
    ['a full attribute path', ['.legacyPackages'], '".legacyPackages"'],
    ['a line break', ['jq\n'], 'not valid'],
    ['a name that is too long', ['a'.repeat(257)], 'at most 256'],
    ['too many names', Array.from({ length: 129 }, (_, n) => `p${n}`), '129 names, at most 128'],
    [
      'too many names after expansion',
      ['shell', ...Array.from({ length: 125 }, (_, n) => `p${n}`)],
      '129 names, at most 128',
    ],
    ['too many characters', Array.from({ length: 20 }, (_, n) => `p${n}`.padEnd(250, 'x')), 'characters, at most 4096'],
    ['too many of one name', Array.from({ length: 200 }, () => 'a'), '200 names, at most 128'],
  ])('is rejected with %s', (_what, names, words) => {
    expect(() => parseContents(names, 'x86_64-linux')).toThrow(
      expect.objectContaining({ code: 'RecipeInvalid', message: expect.stringContaining(words) }),
    )
  })
})

it('expandContents replaces meta-packages at any position', () => {
  expect(expandContents(['jq', 'shell', 'arm64', 'lib*'])).toEqual(['jq', ...SHELL, 'lib*'])
})
