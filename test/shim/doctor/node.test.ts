import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { stringify } from 'yaml'
import { type Bed, startBed } from '../../node/bed.ts'
import { copyExample } from '../../node/example.ts'
import type { Shim } from '../../node/shim.ts'
import { PATIENT } from '../../patience.ts'
import { enbiShim } from '../commands/enbi-shim.ts'
import { runDoctor } from './run-doctor.ts'

let bed: Bed
let shim: Shim
let kubelet: string
beforeAll(async () => {
  bed = await startBed({ nixSettings: { sandbox: 'true' } })
  shim = await bed.startShim()
  kubelet = await writeKubelet('kubelet.yaml', {})
  // Something to be linked.
  const { url } = await copyExample('formats', bed.dir)
  await bed.run('nix', ['build', '--no-link', `${url}#docker-archive`])
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

async function writeKubelet(name: string, config: object): Promise<string> {
  const path = join(bed.dir, name)
  const right = { imageServiceEndpoint: `unix://${shim.socket}`, serializeImagePulls: false }
  await writeFile(path, stringify({ kind: 'KubeletConfiguration', ...right, ...config }))
  return path
}

/** The config of the running shim, except for some keys. */
async function writeConfig(name: string, keys: object): Promise<string> {
  const path = join(bed.dir, name)
  const config = {
    listen: shim.socket,
    containerd: { address: bed.containerdSocket },
    stateDir: shim.stateDir,
    nix: { user: bed.buildUser.name },
    policy: [{ namespaces: ['*'], images: ['**'], flakes: ['**'] }],
  }
  await writeFile(path, stringify({ ...config, ...keys }))
  return path
}

const diagnose = (config: string, kubeletConfig = kubelet) =>
  runDoctor(bed, '--config', config, '--kubelet-config', kubeletConfig)

describe('on a node without problems', () => {
  it('doctor reports no failure, and the exit code is 0', async () => {
    const { exitCode, findings } = await diagnose(await writeConfig('as-it-runs.yaml', {}))
    const outcomes = findings.map(({ check, outcome }) => [check, outcome])
    expect(outcomes).toEqual(
      [
        ...[
          'config',
          'socket',
          'kubelet',
          'image pulls',
          'containerd',
          'build user',
          'nix',
          'nix flaws',
          'nix options',
          'nix settings',
          'nix daemon',
          'sandbox',
          'policy',
        ],
        ...[
          'state folder',
          'log folder',
          'credentials',
          'layers',
          'images',
          'disk',
          'garbage collection',
          'cgroup',
          'API server',
        ],
      ].map(check => [check, check === 'API server' ? 'skipped' : expect.stringMatching(/^(ok|warning)$/)]),
    )
    const machine = ['disk', 'nix flaws']
    expect(findings.filter(({ outcome, check }) => outcome === 'warning' && !machine.includes(check))).toEqual([])
    expect(exitCode).toBe(0)
  })

  it('doctor leaves nothing in containerd and builds nothing', async () => {
    const leases = async () =>
      (await bed.run('ctr', ['--address', bed.containerdSocket, '-n', 'k8s.io', 'leases', 'ls'])).stdout
    const snapshots = async () =>
      (await bed.run('ctr', ['--address', bed.containerdSocket, '-n', 'k8s.io', 'snapshots', 'ls'])).stdout
    const before = [await leases(), await snapshots()]
    await diagnose(shim.configPath)
    expect([await leases(), await snapshots()]).toEqual(before)
  })

  it('doctor prints a line for each check', async () => {
    const { stdout } = await enbiShim(bed, ['doctor', '--config', shim.configPath, '--kubelet-config', kubelet])
    expect(stdout).toContain('✓ socket: enbi-shim')
    expect(stdout).toMatch(/✓ nix: nix 2\.\d+.*, with flakes/)
    expect(stdout).toContain('– API server: the config has no kubernetes')
  })

  it('doctor sees a setting of Nix, also of a Nix that only knows `config show`', async () => {
    const command = join(bed.dir, 'newer-nix')
    // The Nix of the bed may be older than that name.
    const script = [
      ...['#!/bin/sh', '[ "$1" = show-config ] && exit 1', `export NIX_CONFIG="min-free = ${MUCH}"`],
      '[ "$1 $2" = "config show" ] && { shift 2; set -- show-config "$@"; }',
      'exec nix "$@"',
    ]
    await writeFile(command, `${script.join('\n')}\n`, { mode: 0o755 })
    const nix = { user: bed.buildUser.name, command }
    const { of } = await diagnose(await writeConfig('min-free.yaml', { nix }))
    expect(of('garbage collection')).toMatchObject({
      ...{ outcome: 'warning', text: expect.stringMatching(/min-free of Nix, which acts only while Nix builds/) },
      wayOut: expect.stringContaining('nix.conf'),
    })
  })

  it('doctor does not count a min-free in nix.options, which the Nix daemon ignores', async () => {
    const nix = { user: bed.buildUser.name, options: { 'min-free': MUCH } }
    const { of } = await diagnose(await writeConfig('ignored-min-free.yaml', { nix }))
    expect(of('garbage collection')).toMatchObject({ outcome: 'ok', text: expect.stringMatching(/runs low$/) })
    expect(of('nix options')).toMatchObject({ outcome: 'warning', text: expect.stringContaining('min-free') })
  })
})

/** More bytes than any disk of the tests has. */
const MUCH = String(2 ** 50)

describe('doctor names the problem and its fix', () => {
  it('for an invalid config, and checks nothing else', async () => {
    const file = join(bed.dir, 'invalid.yaml')
    await writeFile(file, 'lisen: /x\n')
    const { exitCode, findings } = await diagnose(file)
    expect(findings).toEqual([
      {
        check: 'config',
        outcome: 'failed',
        text: expect.stringContaining('did you mean listen?'),
        wayOut: expect.any(String),
      },
    ])
    expect(exitCode).toBe(1)
  })

  it.each<[string, () => Promise<object>, string, RegExp, RegExp]>([
    [
      'for a missing shim',
      async () => ({ listen: '/run/none/x.sock' }),
      'socket',
      /\/run\/none\/x\.sock does not exist/,
      /systemctl start/,
    ],
    [
      'for containerd at the socket of the shim',
      async () => ({ listen: bed.containerdSocket }),
      'socket',
      /is not enbi-shim/,
      /listen/,
    ],
    [
      'for a missing containerd',
      async () => ({ containerd: { address: '/run/none/c.sock' } }),
      'containerd',
      /does not exist/,
      /containerd\.address/,
    ],
    [
      'for another snapshotter',
      async () => ({ containerd: { address: bed.containerdSocket, snapshotter: 'native' } }),
      'containerd',
      /snapshotter is overlayfs/,
      /containerd\.snapshotter: overlayfs/,
    ],
    ['no such build user', async () => ({ nix: { user: 'nobody-else' } }), 'build user', /no user "nobody-else"/, /./],
    [
      'for a missing nix',
      async () => ({ nix: { user: bed.buildUser.name, command: 'nix-none' } }),
      'nix',
      /cannot be run/,
      /nix\.command/,
    ],
    ['no policy', async () => ({ policy: [] }), 'policy', /no rule/, /policy/],
    [
      'for a name for local flakes that the policy does not spell out',
      async () => ({ names: [{ images: 'r.example/{n}', flake: 'git+file:///srv/{n}', package: 'x' }] }),
      'names',
      /no rule .* local flakes that r\.example\/\{n\} stands for/,
      /begins with git\+file:/,
    ],
    [
      'for a name for package sets that the policy does not spell out',
      async () => ({ names: [{ images: 'r.example/{contents}', packages: 'github:NixOS/nixpkgs' }] }),
      'names',
      /no rule .* package sets that r\.example\/\{contents\} stands for/,
      /begins with packages: to the flakes/,
    ],
    [
      'for a name for package sets of this machine that the policy does not spell out',
      async () => ({
        names: [{ images: 'r.example/{contents}', packages: 'path:/srv/pkgs' }],
        policy: [{ namespaces: ['*'], images: ['*'], flakes: ['packages:github:NixOS/*', 'path:/srv/*'] }],
      }),
      'names',
      /no rule .* package sets that r\.example\/\{contents\} stands for/,
      /begins with packages:path: to the flakes/,
    ],
    [
      'for a state folder that is a file',
      async () => ({ stateDir: shim.configPath }),
      'state folder',
      /is not a folder/,
      /stateDir/,
    ],
    [
      'for a state folder that the build user cannot reach',
      closedFolder,
      'state folder',
      /cannot reach its own folders in/,
      /chmod o\+x/,
    ],
    [
      'for a cluster without a kubeconfig',
      async () => ({ kubernetes: { kubeconfig: '/none' } }),
      'API server',
      /cannot read the kubeconfig/,
      /kubernetes\.kubeconfig/,
    ],
  ])('%s', async (_what, keys, check, text, wayOut) => {
    const { of, exitCode } = await diagnose(
      await writeConfig(`${check.replaceAll(' ', '-')}-${Math.random()}.yaml`, await keys()),
    )
    const found = of(check)
    expect(found).toMatchObject({ text: expect.stringMatching(text), wayOut: expect.stringMatching(wayOut) })
    expect(exitCode).toBe(found?.outcome === 'failed' ? 1 : 0)
  })

  async function closedFolder() {
    const closed = join(bed.dir, 'closed')
    await mkdir(join(closed, 'state'), { recursive: true })
    await chmod(closed, 0o700)
    return { stateDir: join(closed, 'state') }
  }

  it.each([
    [
      'for a kubelet that bypasses the shim',
      { imageServiceEndpoint: undefined },
      'kubelet',
      'failed',
      'imageServiceEndpoint: unix://',
    ],
    [
      'for a kubelet that pulls through another socket',
      { imageServiceEndpoint: 'unix:///run/x.sock' },
      'kubelet',
      'failed',
      'imageServiceEndpoint: unix://',
    ],
    [
      'for a kubelet that pulls images one by one',
      { serializeImagePulls: true },
      'image pulls',
      'warning',
      'serializeImagePulls: false',
    ],
    [
      'for a limit of pulls, which builds use up',
      { maxParallelImagePulls: 1000 },
      'image pulls',
      'warning',
      'remove maxParallelImagePulls',
    ],
  ])('%s', async (_what, config, check, outcome, wayOut) => {
    const { of } = await diagnose(shim.configPath, await writeKubelet(`${Math.random()}.yaml`, config))
    expect(of(check)).toMatchObject({ outcome, wayOut: expect.stringContaining(wayOut) })
  })

  it('for access tokens that the build user cannot read', async () => {
    const folder = join(shim.stateDir, 'build-config/nix')
    const secret = join(bed.dir, 'access-tokens.conf')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'nix.conf'), `!include ${secret}\n!include /none.conf\n`)
    await writeFile(secret, 'access-tokens = github.com=none\n', { mode: 0o600 })
    const look = async () => (await diagnose(shim.configPath)).of('nix settings')
    expect(await look()).toMatchObject({ outcome: 'warning', text: expect.stringContaining(`cannot read ${secret},`) })
    await chmod(secret, 0o644)
    expect(await look()).toMatchObject({ outcome: 'ok' })
  })

  it('for a Nix daemon that is unreachable', async () => {
    await bed.nixDaemon.stop()
    try {
      const found = (await diagnose(shim.configPath)).of('nix daemon')
      expect(found).toMatchObject({ outcome: 'failed', wayOut: expect.stringContaining('nix-daemon.socket') })
    } finally {
      await bed.nixDaemon.start()
    }
  })

  it('for a containerd without its CRI plugin', async () => {
    const path = join(bed.dir, 'containerd/config.toml')
    const config = await readFile(path, 'utf8')
    await bed.containerd.stop()
    await writeFile(path, config.replace('disabled_plugins = [', 'disabled_plugins = ["io.containerd.grpc.v1.cri", '))
    await bed.containerd.start({ wait: false })
    try {
      await vi.waitFor(async () => {
        const found = (await diagnose(shim.configPath)).of('containerd')
        expect(found).toMatchObject({ outcome: 'failed', wayOut: expect.stringContaining('disabled_plugins') })
      }, PATIENT)
    } finally {
      await bed.containerd.stop()
      await writeFile(path, config)
      await bed.containerd.start()
    }
  })

  it('for a socket without a server', async () => {
    const other = await bed.startShim()
    await other.daemon.kill()
    const found = (await diagnose(other.configPath)).of('socket')
    expect(found).toMatchObject({ outcome: 'failed', text: expect.stringContaining('no server listens') })
  })
})
