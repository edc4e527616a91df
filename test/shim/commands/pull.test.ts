import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample, type Example } from '../../node/example.ts'
import { SHIM_MAIN } from '../../node/own-programs.ts'
import type { Shim } from '../../node/shim.ts'
import { enbiShim } from './enbi-shim.ts'
import { startOnTerminal } from './terminal.ts'

let bed: Bed
let shim: Shim
let formats: Example

beforeAll(async () => {
  bed = await startBed()
  shim = await bed.startShim()
  formats = await copyExample('formats', bed.dir)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const run = (...args: string[]) => enbiShim(bed, args)

function pull(image: string, packageName: string, ...more: string[]) {
  return run('pull', image, '--flake', formats.url, '--package', packageName, '--socket', shim.socket, ...more)
}

describe('enbi-shim pull', () => {
  it('shows the steps as lines if the output is not a terminal, and ends with the image id', async () => {
    const { stdout, exitCode } = await pull('app:1', 'docker-archive')
    const { id } = (await bed.cri().imageStatus('app:1')) ?? {}
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/evaluating the flake\n[\s\S]*building[\s\S]*built \/nix\/store\/\S+\n[\s\S]*importing/)
    expect(stdout.trimEnd().split('\n').at(-1)).toContain(`app:1 is ${id}`)
  })

  it('prints one JSON object per line with --json', async () => {
    const { stdout, exitCode } = await pull('app:json', 'oci-layout', '--json')
    const events = stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(exitCode).toBe(0)
    expect(events.map(({ phase }) => phase)).toEqual(expect.arrayContaining(['evaluating', 'built', 'importing']))
    expect(events.at(-1)).toEqual({ phase: 'done', image: 'app:json', imageId: expect.stringMatching(/^sha256:/) })
  })

  it('fails with exit code 1 and the message that a kubelet would see', async () => {
    const { stderr, exitCode } = await pull('app:none', 'no-such')
    expect({ stderr, exitCode }).toEqual({
      stderr: expect.stringMatching(/^enbi-shim: .*no package no-such/),
      exitCode: 1,
    })
  })

  it('prints the error with its code with --json', async () => {
    const { stdout, exitCode } = await pull('app:none', 'no-such-either', '--json')
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toEqual({
      ...{ phase: 'failed', image: 'app:none', code: 'AttributeMissing', retryable: false },
      message: expect.stringMatching(/no package no-such-either .*only docker-archive, /),
    })
  })

  it('needs no --flake for an image whose name is a recipe', async () => {
    const names = [{ images: 'registry.example/team/{name}', flake: formats.url, package: '{name}' }]
    const named = await bed.startShim({ config: { names } })
    const image = 'registry.example/team/docker-archive'
    const { stdout, exitCode } = await run('pull', image, '--socket', named.socket)
    expect(exitCode).toBe(0)
    expect(stdout).toContain(`${image} is sha256:`)
    const asked = ['name', image, '--config', named.configPath]
    expect(await run(...asked)).toMatchObject({ stdout: `${formats.url}#docker-archive`, exitCode: 0 })
    await named.daemon.stop()
  })

  it('leaves the failed step on a terminal', async () => {
    const args = ['app:none', '--flake', formats.url, '--package', 'never', '--socket', shim.socket]
    const { child, written } = startOnTerminal([process.execPath, SHIM_MAIN, 'pull', ...args])
    expect(await child).toMatchObject({ exitCode: 1 })
    expect(stripVTControlCharacters(written())).toMatch(/✗ evaluating the flake {2}[\d.]+ m?s\r\n/)
  })

  it.each([
    ['--flake', ['app:1', '--flake', 'nowhere', '--package', 'app']],
    ['--package', ['app:1', '--flake', 'github:team/app', '--package', '-x']],
    ['--contents', ['app:1', '--flake', 'github:team/app', '--contents', 'curl -x']],
    ['--contents', ['app:1', '--flake', 'github:team/app', '--contents', 'arm64 curl', '--system', 'x86_64-linux']],
    ['--system', ['app:1', '--flake', 'github:team/app', '--package', 'app', '--system', 'x y']],
    ['IMAGE', ['App:1', '--flake', 'github:team/app', '--package', 'app']],
    ['IMAGE', [`nix:0/nix/store/${'a'.repeat(32)}-App`]],
  ])('names a mistake in %s, and no annotation', async (name, args) => {
    const { stderr, exitCode } = await run('pull', ...args)
    expect({ stderr, exitCode }).toEqual({ stderr: expect.stringMatching(`^enbi-shim: ${name}: `), exitCode: 2 })
    expect(stderr).not.toContain('annotation')
  })

  it('fails with exit code 3 when no shim answers', async () => {
    const { stderr, exitCode } = await run(
      'pull',
      'a',
      '--flake',
      'github:a/b',
      '--package',
      'c',
      '--socket',
      '/no/where',
    )
    expect({ stderr, exitCode }).toEqual({ stderr: expect.stringContaining('/no/where'), exitCode: 3 })
  })

  it('fails with exit code 3 at a socket of another server', async () => {
    const args = ['--flake', 'github:a/b', '--package', 'c', '--socket', bed.containerdSocket]
    expect(await run('pull', 'a', ...args)).toMatchObject({ exitCode: 3 })
  })

  it('fails with exit code 3 for a user who may not connect', async () => {
    const args = ['pull', 'a', '--flake', 'github:a/b', '--package', 'c', '--socket', shim.socket]
    const told = { exitCode: 3, stderr: expect.stringContaining(`may not connect to ${shim.socket}`) }
    expect(await enbiShim(bed, args, { user: bed.buildUser })).toMatchObject(told)
  })

  it('fails with exit code 2 for wrong usage', async () => {
    for (const args of [
      ['--flake', 'github:a/b'],
      ['--package', 'c'],
      ['--contents', 'curl jq'],
      ['--system', 'x86_64-linux'],
    ])
      expect(await run('pull', 'a', ...args)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--flake') })
    const both = ['--flake', 'github:a/b', '--package', 'c', '--contents', 'curl']
    const excluded = { exitCode: 2, stderr: expect.stringContaining('--package and --contents') }
    expect(await run('pull', 'a', ...both)).toMatchObject(excluded)
    const storePath = `/nix/store/${'a'.repeat(32)}-app`
    const told = { exitCode: 2, stderr: expect.stringContaining(`is named nix:0${storePath}`) }
    expect(await run('pull', storePath)).toMatchObject(told)
    const capital = { exitCode: 2, stderr: expect.stringContaining('rename the derivation') }
    expect(await run('pull', `nix:0/nix/store/${'a'.repeat(32)}-App`, '--socket', shim.socket)).toMatchObject(capital)
  })
})

describe('enbi-shim name', () => {
  it.each([
    ['github:team/app/v1#web', 'flake-github:0/team/app--x23--web:v1'],
    ['flake-github:0/team/app--x23--web:v1', 'github:team/app/v1#web'],
  ])('prints the counterpart of %s', async (text, other) => {
    expect(await run('name', text)).toMatchObject({ stdout: other, exitCode: 0 })
  })

  it('prints the recipe of an image by the name rules of a config', async () => {
    const config = join(bed.dir, 'names.yaml')
    await writeFile(
      config,
      'names: [{ images: "nix.local/pkgs/{contents}", packages: "github:NixOS/nixpkgs" }, { images: "r.example/{n}", flake: "github:a/{n}", package: x }]\n',
    )
    const names = ['nix.local/pkgs/jq/curl:nixos-25.05', 'r.example/app']
    const printed = ['github:NixOS/nixpkgs/nixos-25.05#{curl,jq}', 'github:a/app#x']
    for (const [at, image] of names.entries())
      expect(await run('name', '--config', config, image)).toMatchObject({ stdout: printed[at], exitCode: 0 })
  })

  it.each([
    ['nowhere', [], 'the flake URL "nowhere" is not valid'],
    ['an image without a rule', ['--config'], 'no name rule is for the image "registry.example/x"'],
  ])('fails with exit code 2 for %s', async (text, options, words) => {
    const args = options.length === 0 ? [text] : ['registry.example/x', ...options, shim.configPath]
    expect(await run('name', ...args)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(words) })
  })
})

describe('enbi-shim check-config', () => {
  it('prints the config with every default', async () => {
    const { stdout, exitCode } = await run('check-config', shim.configPath)
    expect(exitCode).toBe(0)
    expect(stdout).toContain(`listen: ${shim.socket}`)
    expect(stdout).toContain('maxBuilds: 3')
  })

  it('prints a valid config', async () => {
    const full = join(bed.dir, 'full.yaml')
    await writeFile(
      full,
      'kubernetes: { unwantedCheck: 1m }\nnix: { holdPulls: 1m }\nmetrics: { address: "[::1]:9469" }\nnames: [{ images: "r.example/{n}", flake: "github:a/{n}", package: x }, { images: "s.example/{contents}", packages: "path:/srv" }]\npolicy: [{ namespaces: ["*"], images: ["s.example/**"], flakes: ["packages:path:/srv"], contents: [jq] }]\n',
    )
    const { stdout } = await run('check-config', full)
    const file = join(bed.dir, 'printed.yaml')
    await writeFile(file, stdout)
    expect(await run('check-config', file)).toMatchObject({ exitCode: 0, stdout })
  })

  it('warns of settings that the Nix daemon accepts from trusted users only, and says where they belong', async () => {
    const file = join(bed.dir, 'untrusted.yaml')
    await writeFile(file, 'nix: { options: { extra-substituters: https://a.example, cores: 2, sandbox: false } }\n')
    const { stderr, exitCode } = await run('check-config', file)
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(/nix\.options has extra-substituters, sandbox, which.* set them in \/etc\/nix\/nix\.conf/)
    expect((await run('check-config', shim.configPath)).stderr).toBe('')
  })

  it('names mistakes and fails with exit code 2', async () => {
    const file = join(bed.dir, 'wrong.yaml')
    await writeFile(file, 'lisen: /x\n')
    const { stderr, exitCode } = await run('check-config', file)
    expect({ stderr, exitCode }).toEqual({ stderr: expect.stringContaining('did you mean listen?'), exitCode: 2 })
  })
})

describe('enbi-shim', () => {
  it.each([
    ['--help', 'Commands:'],
    ['serve --help', '--config'],
    ['pull --help', '--namespace'],
    ['status --help', '--watch'],
    ['check-config --help', 'file'],
    ['--version', '0.1.0'],
  ])('%s exits with 0', async (args, text) => {
    expect(await run(...args.split(' '))).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(text) })
  })

  it.each(['--help', 'check-config'])('%s exits with 0 when its reader closes the pipe', async command => {
    const args = command === 'check-config' ? [command, shim.configPath] : [command]
    const script = '{ "$@"; echo "exit code $?" >&2; } | true'
    const { stderr } = await bed.run('sh', ['-c', script, 'sh', process.execPath, SHIM_MAIN, ...args])
    expect(stderr).toBe('exit code 0')
  })

  it('serve rejects a config with mistakes and a socket that is in use', async () => {
    const wrong = join(bed.dir, 'wrong-too.yaml')
    await writeFile(wrong, 'nix: { maxBuilds: 0 }\n')
    expect(await run('serve', '--config', wrong)).toMatchObject({ exitCode: 2 })
    expect(await run('serve', '--config', shim.configPath)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(shim.socket),
    })
    await expect(bed.cri(shim.socket).imageFsInfo()).resolves.toHaveLength(1)
  })
})
