import { describe, expect, it } from 'vitest'
import { nixSystem } from '../../../kube/resources/node-system.ts'

describe("a node's Nix system", () => {
  it.each([
    ['amd64', 'linux', 'x86_64-linux'],
    ['arm64', 'linux', 'aarch64-linux'],
    ['arm', 'linux', 'armv7l-linux'],
    ['386', 'linux', 'i686-linux'],
    ['riscv64', 'linux', 'riscv64-linux'],
    ['ppc64le', 'linux', 'powerpc64le-linux'],
    ['s390x', 'linux', 's390x-linux'],
    ['amd64', undefined, 'x86_64-linux'],
    ['amd64', '', 'x86_64-linux'],
    ['amd64', 'windows', undefined],
    ['z80', 'linux', undefined],
    ['', 'linux', undefined],
    [undefined, undefined, undefined],
    ['constructor', 'linux', undefined],
  ])('for %s and %s is %s', (architecture, os, system) => {
    expect(nixSystem({ architecture, os })).toBe(system)
  })
})
