import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Bed } from '../node/bed.ts'
import { type RemoteBuilder, recipeOf } from './remote-builder.ts'

const APP = `derivation { name = "app"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }`

let flakes = 0

/** That a package is what `packages.<system>` has, and nothing else. */
export function describeOutputs(node: () => { readonly bed: Bed; readonly builder: RemoteBuilder }): void {
  const build = async (outputs: string, packageName: string) => {
    const { bed, builder } = node()
    flakes += 1
    const dir = join(bed.dir, `outputs-${flakes}`)
    await mkdir(dir)
    await writeFile(join(dir, 'flake.nix'), `{ outputs = { self }: { ${outputs} }; }`)
    return builder.build(recipeOf(`path:${dir}`, packageName))
  }

  describe('of a flake', () => {
    test.each([
      { has: 'other packages that throw', outputs: `legacyPackages.x86_64-linux = throw "no legacy packages";` },
      { has: 'legacy packages that throw as a whole', outputs: `legacyPackages = throw "no legacy packages";` },
      { has: 'a package called packages', outputs: `packages.x86_64-linux.packages = { PATH = 1; };` },
      { has: 'other packages called packages', outputs: `legacyPackages.x86_64-linux.packages.x86_64-linux = { };` },
      { has: 'packages of other systems that throw', outputs: `packages.aarch64-linux = throw "no arm";` },
    ])('that has $has too is of the package itself', async ({ outputs }) => {
      const { storePath } = await build(`packages.x86_64-linux.app = ${APP}; ${outputs}`, 'app')
      expect(storePath).toMatch(/-app$/)
    })

    test.each([
      {
        whose: 'packages throw',
        outputs: 'packages.x86_64-linux = throw "none for this one";',
        code: 'EvaluationFailed',
        says: / failed: none for this one$/,
      },
      {
        whose: 'image is an output of another name',
        outputs: `lib = { }; dockerImages.x86_64-linux.app = ${APP}; "a\\nb" = 1;`,
        code: 'AttributeMissing',
        says: /^path:\S+ has no packages\.x86_64-linux\.app, and no packages at all: its outputs are a b, dockerImages, lib$/,
      },
      {
        whose: 'image is among its legacy packages',
        outputs: `packages.x86_64-linux.other = ${APP}; legacyPackages.x86_64-linux.app = ${APP};`,
        code: 'AttributeMissing',
        says: /has no package app for x86_64-linux, only other; the shim looks in packages\.x86_64-linux, and not in the other outputs: legacyPackages$/,
      },
      {
        whose: 'packages are for another system',
        outputs: `packages.aarch64-linux.app = ${APP}; apps = { };`,
        code: 'SystemUnsupported',
        says: /has no packages for x86_64-linux, only for aarch64-linux; the shim looks in packages\.x86_64-linux, and not in the other outputs: apps$/,
      },
      {
        whose: 'package and legacy packages throw',
        outputs: `packages.x86_64-linux.app = throw "no app"; legacyPackages = throw "no legacy packages";`,
        code: 'EvaluationFailed',
        says: / failed: no app$/,
      },
      { whose: 'outputs are none', outputs: '', code: 'AttributeMissing', says: /: it has no outputs$/ },
    ])('whose $whose fails with $code', async ({ outputs, code, says }) => {
      await expect(build(outputs, 'app')).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
    })
  })
}
