import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Bed } from '../../node/bed.ts'
import { type RemoteBuilder, recipeOf } from './remote-builder.ts'

const APP = `derivation { name = "app"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }`

let flakes = 0

/** Packages come from `packages.<system>`, `legacyPackages.<system>` or a full path; other outputs have no effect. */
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
      { has: 'a package of that name among its legacy packages', outputs: `legacyPackages.x86_64-linux.app = { };` },
      { has: 'legacy packages that never end', outputs: `legacyPackages = let f = x: f x; in f 1;` },
    ])('that also has $has is of the package itself', async ({ outputs }) => {
      const { storePath } = await build(`packages.x86_64-linux.app = ${APP}; ${outputs}`, 'app')
      expect(storePath).toMatch(/-app$/)
    })

    test.each([
      { where: 'its legacy packages', outputs: `legacyPackages.x86_64-linux.app = ${APP};` },
      {
        where: 'its legacy packages, beside other packages',
        outputs: `packages.x86_64-linux.other = throw "other"; legacyPackages.x86_64-linux = { app = ${APP}; other = throw "other"; };`,
      },
      {
        where: 'its legacy packages, for a system that it has no other packages for',
        outputs: `packages.aarch64-linux = throw "no arm"; legacyPackages.x86_64-linux.app = ${APP};`,
      },
      {
        where: 'an output of another name',
        packageName: '.containers.x86_64-linux.app',
        outputs: `packages = throw "no packages"; containers.x86_64-linux = { app = ${APP}; other = throw "other"; };`,
      },
      {
        where: 'an output for the builders that are part of nix',
        packageName: '.app',
        outputs: `app = derivation { name = "app"; system = "builtin"; builder = "builtin:buildenv"; derivations = [ ]; manifest = "/dev/null"; };`,
      },
      {
        where: 'a NixOS configuration',
        packageName: '.nixosConfigurations."web.example".config.image',
        outputs: `nixosConfigurations."web.example".config.image = ${APP}; legacyPackages.x86_64-linux.nixosConfigurations = { };`,
      },
    ])('with the package in $where is of that package', async ({ outputs, packageName = 'app' }) => {
      expect((await build(outputs, packageName)).storePath).toMatch(/-app$/)
    })

    test.each([
      {
        whose: 'packages throw',
        outputs: 'packages.x86_64-linux = throw "none for this one";',
        code: 'EvaluationFailed',
        says: / failed: none for this one\n\(the whole log: /,
      },
      {
        whose: 'image is an output of another name',
        outputs: `lib = { }; dockerImages.x86_64-linux.app = ${APP}; "a\\nb" = 1;`,
        code: 'AttributeMissing',
        says: /^path:\S+ has no package app for x86_64-linux, and neither packages nor legacyPackages; a path that begins with a dot is looked up in its other outputs: dockerImages, lib$/,
      },
      {
        whose: 'packages have other names',
        outputs: `packages.x86_64-linux.other = ${APP}; legacyPackages.x86_64-linux.another = ${APP}; lib = { };`,
        code: 'AttributeMissing',
        says: /has no package app for x86_64-linux, only other, another; a path that begins with a dot is looked up in its other outputs: lib$/,
      },
      {
        whose: 'packages have other names, and legacy packages throw',
        outputs: `packages.x86_64-linux.other = ${APP}; legacyPackages.x86_64-linux = throw "no legacy packages";`,
        code: 'AttributeMissing',
        says: /has no package app for x86_64-linux, only other$/,
      },
      {
        whose: 'only outputs are legacy packages that throw',
        outputs: `legacyPackages.x86_64-linux = throw "no legacy packages";`,
        code: 'EvaluationFailed',
        says: / failed: no legacy packages\n\(the whole log: /,
      },
      {
        whose: 'many legacy packages have another name',
        outputs: `legacyPackages.x86_64-linux = { Apps = ${APP}; } // builtins.listToAttrs (builtins.genList (index: { name = "p${'$'}{toString index}"; value = throw "none"; }) 3000);`,
        code: 'AttributeMissing',
        says: /has no package app for x86_64-linux; did you mean Apps\? There are 3001$/,
      },
      {
        whose: 'full path leads nowhere',
        packageName: '.containers.x86_64-linux.app',
        outputs: `containers.x86_64-linux = { web = ${APP}; db = throw "no db"; }; packages = throw "no packages";`,
        code: 'AttributeMissing',
        says: /^path:\S+ has no output \.containers\.x86_64-linux\.app, only db, web; the outputs of the flake are containers, packages$/,
      },
      {
        whose: 'full path leads to a set',
        packageName: '.containers.x86_64-linux',
        outputs: `containers.x86_64-linux.web = ${APP};`,
        code: 'AttributeMissing',
        says: /^\.containers\.x86_64-linux of path:\S+ is not a package but a set$/,
      },
      {
        whose: 'packages are for another system',
        outputs: `packages.aarch64-linux.app = ${APP}; apps = { };`,
        code: 'SystemUnsupported',
        says: /has no packages for x86_64-linux, only for aarch64-linux; a path that begins with a dot is looked up in its other outputs: apps$/,
      },
      {
        whose: 'full path leads to a package for another system',
        packageName: '.packages.aarch64-linux.app',
        outputs: `packages.aarch64-linux.app = ${APP.replace('x86_64', 'aarch64')};`,
        code: 'SystemUnsupported',
        says: /^\.packages\.aarch64-linux\.app of path:\S+ is a package for aarch64-linux, but the recipe is for x86_64-linux$/,
      },
      {
        whose: 'package names include some that cannot be printed',
        outputs: `packages.x86_64-linux = { other = ${APP}; "${'a'.repeat(99)}é" = 1; "a\\nb" = 1; "${'b'.repeat(101)}" = 1; };`,
        code: 'AttributeMissing',
        says: /has no package app for x86_64-linux; there are 4$/,
      },
      {
        whose: 'package and legacy packages throw',
        outputs: `packages.x86_64-linux.app = throw "no app"; legacyPackages = throw "no legacy packages";`,
        code: 'EvaluationFailed',
        says: / failed: no app\n\(the whole log: /,
      },
      { whose: 'set of outputs is empty', outputs: '', code: 'AttributeMissing', says: /: it has no outputs$/ },
    ])('whose $whose fails with $code', async ({ outputs, code, says, packageName = 'app' }) => {
      await expect(build(outputs, packageName)).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
    })
  })
}
