import { createHash } from 'node:crypto'
import { appendFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import lockFile from '../../package-lock.json' with { type: 'json' }
import { hostSystem } from '../../recipes/system.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { installPackages } from './npm-cache.ts'
import { type OwnFlake, writeOwnFlake } from './own-flake.ts'

const TOP = join(import.meta.dirname, '../..')
const PROGRAMS = ['enbi-shim', 'enbi-controller', 'kubectl-nixbuild']

let bed: Bed
let flake: OwnFlake

beforeAll(async () => {
  bed = await startBed({ nixSettings: { 'max-jobs': '2' } })
  flake = await writeOwnFlake(bed)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

describe('the flake', () => {
  it('has the same outputs for each system', async () => {
    const packages = ['controller-image', 'default', 'enbi-controller', 'enbi-shim', 'kubectl-nixbuild', 'token-image']
    const shown = v.parse(Shown, JSON.parse(await nix('flake', 'show', '--json', flake.url)))
    for (const system of ['x86_64-linux', 'aarch64-linux']) {
      expect(Object.keys(shown.packages[system] ?? {})).toEqual(packages)
      expect(Object.keys(shown.devShells[system] ?? {})).toEqual(['default'])
      expect(Object.keys(shown.checks[system] ?? {})).toEqual([
        'controller-image',
        'enbi-controller',
        'enbi-shim',
        'k3s',
        'kubectl-nixbuild',
        'kubelet',
        'share',
        'token-image',
      ])
      expect(Object.keys(shown.apps[system] ?? {})).toEqual(['demo'])
    }
    expect(shown.overlays).toHaveProperty('default')
    expect(shown.nixosModules).toHaveProperty('default')
  })

  it('passes `nix flake check`', async () => {
    await nix('flake', 'check', '--no-build', flake.url)
  })

  it('is locked, so that Nix resolves no input again', async () => {
    const dir = join(bed.dir, 'as-locked')
    await mkdir(dir)
    for (const name of ['flake.nix', 'flake.lock']) await cp(join(TOP, name), join(dir, name))
    await nix('flake', 'metadata', '--no-update-lock-file', `path:${dir}`)
  })

  it('rebuilds the shim if its sources change, but not if a page or a test does', async () => {
    const derivation = () => nix('eval', '--raw', `${flake.url}#enbi-shim.drvPath`)
    const before = await derivation()
    await appendFile(join(flake.dir, 'README.md'), '\n')
    await appendFile(join(flake.dir, 'test/nix/flake.test.ts'), '\n')
    expect(await derivation()).toBe(before)
    await appendFile(join(flake.dir, 'shim/main.ts'), '\n')
    expect(await derivation()).not.toBe(before)
  })
})

it('the demo of the flake runs in a writable copy', async () => {
  const [dir, cache] = [join(bed.dir, 'with-demo'), join(bed.dir, 'cache')]
  await cp(flake.dir, dir, { recursive: true })
  const scripts = { ...manifest.scripts, demo: 'touch written && pwd' }
  await writeFile(join(dir, 'package.json'), JSON.stringify({ ...manifest, scripts }))
  const options = { env: { XDG_CACHE_HOME: cache } }
  const { stdout } = await bed.run('nix', ['run', `path:${dir}#demo`], options)
  expect(stdout.split('\n').at(-1)).toMatch(`${cache}/enbi-shim/demo-`)
})

describe('a packaged program', () => {
  it('consists of the program, Node and the programs that it runs', async () => {
    await nix('build', '--no-link', ...PROGRAMS.map(program => `${flake.url}#${program}`))
    const tools = ['bash', 'coreutils', 'git-minimal', 'util-linux-minimal']
    expect(await closure('enbi-shim')).toEqual([`enbi-shim-${manifest.version}`, 'nodejs-slim', ...tools].sort())
    for (const program of ['enbi-controller', 'kubectl-nixbuild'])
      expect(await closure(program)).toEqual([`${program}-${manifest.version}`, 'nodejs-slim'])
  })

  it('is made of exactly the packages that npm installs for it', async () => {
    const installed = join(await installPackages(join(bed.dir, 'installed')), 'node_modules')
    const unpacked = `let program = (builtins.getFlake "${flake.url}").packages.${hostSystem()}.enbi-shim; in
      derivation (program.drvAttrs // { buildPhase = ""; installPhase = "mv node_modules $out"; doInstallCheck = false; })`
    const packages = await build('--impure', '--expr', unpacked)
    await bed.run('diff', ['--recursive', '--brief', '--exclude=.package-lock.json', installed, packages])
  })

  it('is made of unchanged packages from npm', async () => {
    const { version, integrity } = lockFile.packages['node_modules/ms']
    const tarball = join(bed.dir, 'ms.tgz')
    await execa('sh', [join(TOP, 'nix/fetch-npm-package.sh'), `ms@${version}`, tarball])
    const hash = createHash('sha512')
      .update(await readFile(tarball))
      .digest('base64')
    expect(`sha512-${hash}`).toBe(integrity)
  })

  it.each(PROGRAMS)('runs by `nix run`: %s', async program => {
    expect(await nix('run', `${flake.url}#${program}`, '--', '--version')).toBe(manifest.version)
  })

  it("gives Node the program's flags", async () => {
    const { stdout } = await bed.run('cat', [join(await buildPackage('enbi-controller'), 'bin/enbi-controller')])
    expect(stdout).toMatch(/node --max-semi-space-size=4 --max-old-space-size=512 \S+\/main\.js/)
  })

  it("serves with only Nix on its PATH, and links the controller's image, which runs", async () => {
    const program = join(await buildPackage('enbi-shim'), 'bin/enbi-shim')
    // The store and the snapshots are no longer on one mount, so the shim must create one, which needs programs.
    await bed.run('mount', ['-t', 'tmpfs', 'tmpfs', join(bed.dir, 'nix')])
    const shim = await bed.startShim({ command: ['/usr/bin/env', `PATH=${await folderWithNix()}`, program] })
    // The shim does not know the stream script of this nixpkgs.
    const recipe = { image: 'controller:1', flakeUrl: flake.url, packageName: 'controller-image.conf' }
    const imageId = await bed.cri(shim.socket).pullImage(recipePull(recipe))
    const { output, exitCode } = await bed.runPod({ imageId, args: ['--version'] })
    expect({ output, exitCode }).toEqual({ output: `${manifest.version}\n`, exitCode: 0 })
    expect(await namesOfNode()).toBeGreaterThan(1)
  })
})

const Outputs = v.record(v.string(), v.unknown())
const Shown = v.object({
  packages: v.record(v.string(), Outputs),
  devShells: v.record(v.string(), Outputs),
  checks: v.record(v.string(), Outputs),
  apps: v.record(v.string(), Outputs),
  overlays: Outputs,
  nixosModules: Outputs,
})
const Built = v.tuple([v.object({ outputs: v.object({ out: v.string() }) })])

async function nix(...args: string[]): Promise<string> {
  const { stdout } = await bed.run('nix', args)
  return stdout
}

/** Runs `nix build` with these arguments. Resolves to the store path. */
async function build(...what: string[]): Promise<string> {
  const [{ outputs }] = v.parse(Built, JSON.parse(await nix('build', '--no-link', '--json', ...what)))
  return outputs.out
}

function buildPackage(name: string): Promise<string> {
  return build(`${flake.url}#${name}`)
}

/** Names of the store paths in a package's runtime closure. */
async function closure(name: string): Promise<string[]> {
  const paths = (await nix('path-info', '--recursive', `${flake.url}#${name}`)).split('\n')
  return paths.map(path => path.replace(/^\/nix\/store\/\w{32}-/, '')).sort()
}

async function folderWithNix(): Promise<string> {
  const dir = join(bed.dir, 'nix-alone')
  await mkdir(dir)
  await symlink('/usr/bin/nix', join(dir, 'nix'))
  return dir
}

/** The number of hard links of the store's Node. It is above one once Node is linked into an image. */
async function namesOfNode(): Promise<number> {
  const { stdout } = await bed.run('sh', ['-c', 'stat --format=%h /nix/store/*-nodejs-slim/bin/node'])
  return Number(stdout)
}
