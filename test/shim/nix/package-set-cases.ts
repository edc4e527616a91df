import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { PackageSetRecipe } from '../../../recipes/recipe.ts'
import type { Bed } from '../../node/bed.ts'
import { copyExample, lockExample } from '../../node/example.ts'
import type { RemoteBuilder } from './remote-builder.ts'

interface Node {
  readonly bed: Bed
  readonly builder: RemoteBuilder
  readonly nix: string
}

/** Packages of a set are found and united, with examples/packages in place of nixpkgs. */
export function describePackageSets(node: () => Node): void {
  describe('of a package set', () => {
    let url: string
    let locked: string
    beforeAll(async () => {
      const { bed, nix } = node()
      const example = await copyExample('packages', bed.dir)
      url = example.url
      const options = ['--extra-experimental-features', 'nix-command']
      locked = (await lockExample(example, (_nix, args) => bed.run(nix, [...args, ...options]))).url
    })
    const recipe = (contents: readonly string[], flake = url, system = 'x86_64-linux'): PackageSetRecipe => ({
      image: 'registry.example/set:1',
      flake: parseFlakeUrl(flake),
      contents,
      system,
    })
    const build = (contents: readonly string[], flake?: string) => node().builder.build(recipe(contents, flake))
    /** Paths in the union, and the package of each. */
    const list = async (storePath: string) => {
      const { stdout } = await node().bed.run('sh', [
        '-c',
        'cd "$0" && find -L . -type f | sort | while read -r file; do echo "$file $(readlink -f "$file")"; done',
        storePath,
      ])
      return new Map(
        stdout.split('\n').map(line => {
          const [path = '', target = ''] = line.split(' ')
          return [path.slice(2), target.slice('/nix/store/'.length + 33).split('/')[0]]
        }),
      )
    }

    test('has the programs of all packages in one folder, and refers to nothing else', async () => {
      const contents = ['bashInteractive', 'coreutils', 'curl', 'htop', 'jq', 'moreutils', 'nano', 'strace']
      const { storePath } = await build(contents)
      const files = await list(storePath)
      expect(Object.fromEntries(files)).toMatchObject({
        'bin/bash': 'bash-interactive-5.2p37',
        'bin/curl': 'curl-8.12.1-bin',
        'share/man/curl.1': 'curl-8.12.1-man',
        'etc/nanorc': 'nano-8.3',
        'etc/ssl/certs/ca-bundle.crt': 'nss-cacert-3.108',
        'etc/services': 'iana-etc-20250108',
      })
      const closure = await node().builder.pathInfo([storePath], { recursive: true })
      const names = closure.map(({ path }) => path.slice('/nix/store/'.length + 33))
      expect(names).toEqual(expect.arrayContaining(['ncurses-6.5', 'openssl-3.4.1', 'busybox-1.36.1', 'package-set']))
      expect(names).not.toContain('source')
      const script = 'PATH=$0/bin; echo hello | jq . | cat; strace printf done'
      const { stdout } = await node().bed.run(join(storePath, 'bin/bash'), ['-c', script, storePath])
      expect(stdout).toBe('hello\ndone')
    })

    test.each([
      { has: 'names in another order, with others spelled in lower case', contents: ['JQ', 'camelcase', '7zz'] },
      { has: 'a name twice, in two spellings', contents: ['_7zz', '7zz', 'camelCase', 'CamelCase', 'jq'] },
      { has: 'the packages that every set has', contents: ['CamelCase', '_7zz', 'cacert', 'iana-etc', 'jq'] },
    ])('is the same with $has', async ({ contents }) => {
      const { storePath } = await build(['7zz', 'CamelCase', 'jq'])
      expect(await build(contents)).toMatchObject({ storePath })
    })

    test.each([
      { named: 'in a nested set', contents: ['python3packages.requests'], file: 'bin/requests', of: /requests/ },
      { named: 'with a digit and in another case', contents: ['9base'], file: 'bin/9base', of: /^9base/ },
      {
        named: 'exactly, although another name differs only in case',
        contents: ['gitui'],
        file: 'bin/gitui',
        of: /^gitui-0/,
      },
      { named: 'as the output of another', contents: ['curl.man'], file: 'share/man/curl.1', of: /^curl-.*-man$/ },
    ])('finds a package that is named $named', async ({ contents, file, of }) => {
      expect((await list((await build(contents)).storePath)).get(file)).toMatch(of)
    })

    test('takes a file of two packages from the one with the lower priority number', async () => {
      expect((await list((await build(['nvi', 'vim'])).storePath)).get('bin/vi')).toBe('vim-9.1')
    })

    test('prefers named packages to propagated ones, and the first output of each', async () => {
      const flake = await writeFlake(`legacyPackages.x86_64-linux = let
        ${MAKE}
      in rec {
        dependency = make "dependency" { } "for each in dependency first shared; do echo > $out/$each; done";
        tool = make "tool" { inherit dependency; } ''
          echo > $out/tool
          /bin/mkdir $out/nix-support
          echo $dependency > $out/nix-support/propagated-user-env-packages
        '';
        first = make "first" { } "echo > $out/first" // { meta.priority = 1; };
        shared = make "shared" { } "echo > $out/shared";
        two = make "two" { outputs = [ "out" "man" ]; } ''
          /bin/mkdir $man
          echo > $out/two
          echo > $man/two
        '' // { meta.outputsToInstall = [ "man" "out" ]; };
      };`)
      expect(
        Object.fromEntries(await list((await build(['first', 'shared', 'tool', 'two'], flake)).storePath)),
      ).toEqual({
        dependency: 'dependency',
        first: 'first',
        shared: 'shared',
        tool: 'tool',
        two: 'two-man',
      })
    })

    test('keeps two packages whose paths differ only in quotes', async () => {
      const flake = await writeFlake(`legacyPackages.x86_64-linux = let
        ${MAKE}
      in { "a.b" = make "quoted" { } "echo > $out/quoted"; a.b = make "nested" { } "echo > $out/nested"; };`)
      const { storePath } = await build(['"a.b"', 'a.b'], flake)
      expect([...(await list(storePath)).keys()]).toEqual(expect.arrayContaining(['nested', 'quoted']))
    })

    test.each([
      {
        has: 'an attribute of a package that is not an output',
        name: 'app.tests.inner',
        says: /has no package app\.tests\.inner for /,
      },
      {
        has: 'a store path with a space',
        name: 'blank',
        says: /^blank of path:\S+ for x86_64-linux is not a package but a set$/,
      },
    ])('with $has is rejected', async ({ name, says }) => {
      const blank = '/nix/store/00000000000000000000000000000000-blank true 0 1 /etc'
      const flake = await writeFlake(
        `legacyPackages.x86_64-linux = { app = ${APP} // { tests.inner = ${APP}; }; blank = ${APP} // { outPath = "${blank}"; }; };`,
      )
      await expect(build([name], flake)).rejects.toMatchObject({
        code: 'AttributeMissing',
        message: expect.stringMatching(says),
      })
    })

    test('of one package returns its main program', async () => {
      expect(await build(['nano'])).toMatchObject({ package: { mainProgram: 'nano' } })
      expect(await build(['jq', 'nano'])).not.toHaveProperty('package')
    })

    test('is saved if its flake is locked', async () => {
      const { builder } = node()
      const output = await build(['jq'], locked)
      expect(await builder.findResult(recipe(['jq'], locked))).toEqual(output)
      expect(await builder.findResult(recipe(['jq', 'nano'], locked))).toBeUndefined()
    })

    test.each([
      {
        whose: 'packages do not exist',
        contents: ['jq', 'nowhere', 'mano', 'htpo', 'gitUi', 'python3Packages.request', 'python3.lib'],
        code: 'AttributeMissing',
        says: /^path:\S+ has none of the packages nowhere, mano \(did you mean nano\?\), htpo \(did you mean htop\?\), gitUi \(did you mean gitUI or gitui\?\), python3Packages\.request \(did you mean requests\?\), python3\.lib for x86_64-linux$/,
      },
      {
        whose: 'name is ambiguous',
        contents: ['sdlmixer'],
        code: 'AttributeMissing',
        says: /has no package sdlmixer \(did you mean SDLmixer or sdlMixer\?\) for x86_64-linux$/,
      },
      {
        whose: 'package is a set',
        contents: ['python3packages'],
        code: 'AttributeMissing',
        says: /^python3Packages of path:\S+ for x86_64-linux is not a package but a set$/,
      },
      {
        whose: 'package was renamed',
        contents: ['jq', 'telnet'],
        code: 'EvaluationFailed',
        says: /^evaluating jq and telnet of path:\S+ failed: 'telnet' has been renamed to\/replaced by 'inetutils'\n\(the whole log: /,
      },
      {
        whose: 'package is unfree',
        contents: ['unfree'],
        code: 'EvaluationFailed',
        says: /^evaluating unfree of path:\S+ failed: Package ‘unfree-1\.0’ in \S+ has an unfree license \(‘unfree’\), refusing to evaluate\.\n\(the whole log: /,
      },
      {
        whose: 'package is broken',
        contents: ['broken'],
        code: 'EvaluationFailed',
        says: / failed: Refusing to evaluate package 'broken-1\.0' in \S+ because it is marked as broken\n\(the whole log: /,
      },
      {
        whose: 'package is insecure',
        contents: ['insecure'],
        code: 'EvaluationFailed',
        says: /is marked as insecure, refusing to evaluate\. Known issues: - its end of life was in 2023 - CVE-2025-0001\n\(the whole log: /,
      },
      {
        whose: 'packages have a file and a folder of one name',
        contents: ['odd-bin', 'strace'],
        code: 'BuilderFailed',
        says: /the builder of package-set failed with exit code 1\. The end of its log:\n(?:error: )?collision between '\S+strace\S+' and non-directory '\S+odd-bin\S+'/,
      },
    ])('whose $whose fails with $code and a short message', async ({ contents, code, says }) => {
      await expect(build(contents)).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
    })

    test.each([
      {
        has: 'no legacy packages',
        outputs: (packages: string) => `packages.x86_64-linux = ${packages};`,
      },
      {
        has: 'a cacert that throws, and an iana-etc that is not a package',
        outputs: (packages: string) =>
          `legacyPackages.x86_64-linux = ${packages} // { cacert = throw "no cacert"; iana-etc = 1; };`,
      },
      {
        has: 'packages that throw as a whole',
        outputs: (packages: string) =>
          `packages = throw "no packages"; legacyPackages = { x86_64-linux = ${packages}; aarch64-linux = throw "no arm"; };`,
      },
      {
        has: 'a package with an odd meta',
        outputs: (packages: string) =>
          `legacyPackages.x86_64-linux = { app = (${packages}).app // { meta = { priority = "high"; outputsToInstall = [ (throw "no outputs") ]; }; }; };`,
      },
    ])('of a flake that has $has is built', async ({ outputs }) => {
      const flake = await writeFlake(outputs(`{ app = ${APP}; other = throw "other"; }`))
      expect((await list((await build(['app'], flake)).storePath)).get('app')).toBe('app')
    })

    test('that does not exist, or not for the system, fails and names what exists', async () => {
      await expect(build(['app'], await writeFlake('lib = { }; apps = { };'))).rejects.toMatchObject({
        code: 'AttributeMissing',
        message: expect.stringMatching(
          /is not a package set: it has neither legacyPackages nor packages, its outputs are apps, lib$/,
        ),
      })
      await expect(node().builder.build(recipe(['jq'], url, 'riscv64-linux'))).rejects.toMatchObject({
        code: 'SystemUnsupported',
        message: `${url} has no packages for riscv64-linux, only for aarch64-linux, x86_64-linux`,
      })
    })

    async function writeFlake(outputs: string): Promise<string> {
      flakes += 1
      const dir = join(node().bed.dir, `set-${flakes}`)
      await mkdir(dir)
      await writeFile(join(dir, 'flake.nix'), `{ outputs = { self }: { ${outputs} }; }`)
      return `path:${dir}`
    }
  })
}

const APP = `derivation { name = "app"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "/bin/mkdir $out; echo > $out/app" ]; }`

const MAKE = `make = name: attributes: script: derivation (attributes // {
  inherit name;
  system = "x86_64-linux";
  builder = "/bin/sh";
  args = [ "-euc" "/bin/mkdir $out; \${script}" ];
});`

let flakes = 0
