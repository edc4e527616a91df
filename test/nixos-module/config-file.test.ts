import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type Bed, startBed } from '../node/bed.ts'
import { SHIM_MAIN } from '../node/own-programs.ts'
import { BUSYBOX } from '../node/programs.ts'

let bed: Bed

beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  await mkdir(join(bed.dir, 'shim/bin'), { recursive: true })
  const program = join(bed.dir, 'shim/bin/enbi-shim')
  await writeFile(program, `#!/bin/sh\nexec ${process.execPath} ${SHIM_MAIN} "$@"\n`)
  await chmod(program, 0o755)
  await mkdir(join(bed.dir, 'shell'))
  for (const name of ['sh', 'cp']) await symlink(BUSYBOX, join(bed.dir, 'shell', name))
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const NIX = { collectGarbage: { when: 'auto' } }
const POLICY = [
  { namespaces: ['team-*'], images: ['registry.example/team/*'], flakes: ['git+https://git.example/team/*'] },
]

describe('the config file', () => {
  it.each([
    ['kubelet', { containerd: { address: '/run/containerd/containerd.sock' } }],
    ['k3s', { containerd: { address: '/run/k3s/containerd/containerd.sock' } }],
    ['kubelet-in-cluster', { kubernetes: { kubeconfig: '/etc/enbi-shim/kubeconfig', nodeName: 'node.example' } }],
    ['kubelet-own-node-name', { kubernetes: { kubeconfig: '/etc/enbi-shim/kubeconfig', nodeName: 'other' } }],
    [
      'k3s-in-cluster',
      {
        containerd: { address: '/run/k3s/containerd/containerd.sock' },
        kubernetes: { kubeconfig: '/etc/enbi-shim/kubeconfig', nodeName: 'worker-1' },
      },
    ],
    [
      'share-by-another-server',
      {
        kubernetes: { kubeconfig: '/etc/enbi-shim/kubeconfig', nodeName: 'node.example' },
        share: {
          address: 'https://worker-1.example/nix',
          publicKeyFile: '/var/lib/enbi-share/public-key',
          stores: ['https://cache.example'],
        },
      },
    ],
    ['own-socket', { listen: '/run/other/shim.sock' }],
    ['own-user', { nix: { user: 'builder', ...NIX } }],
    ['metrics', { metrics: { address: '[::]:9100' } }],
    ['root-builds', { nix: { user: null, ...NIX } }],
    [
      'credentials',
      { nix: { user: 'enbi-shim', ...NIX, credentials: { netrc: '/run/secrets/netrc', sshKey: '/run/secrets/key' } } },
    ],
  ])('holds the options of %s over the defaults, and the shim accepts it', async (name, settings) => {
    const defaults = {
      listen: '/run/enbi-shim/enbi-shim.sock',
      stateDir: '/var/lib/enbi-shim',
      logDir: '/var/log/enbi-shim',
      containerd: { address: '/run/containerd/containerd.sock' },
      nix: { user: 'enbi-shim', ...NIX },
      import: { layers: 'linked', trustStore: false },
      policy: POLICY,
      names: [],
      flakeNames: false,
    }
    await expect(buildConfig(name)).resolves.toEqual({ ...defaults, ...settings })
  })

  it('holds every other key of the shim, and the rules of both options', async () => {
    const config = await buildConfig('more-settings')
    expect(config).toMatchObject({
      nix: { user: 'enbi-shim', maxBuilds: 4, options: { cores: 2 } },
      log: { level: 'debug' },
      import: { layers: 'tar' },
      shutdownTimeout: '1m',
      names: [
        { images: 'registry.example/team/{name}', flake: 'github:team/{name}', package: 'image' },
        { images: 'nix.local/pkgs/{contents}', packages: 'github:NixOS/nixpkgs' },
      ],
      flakeNames: true,
    })
    expect(config.policy).toHaveLength(3)
    expect(config.policy).toEqual(expect.arrayContaining(POLICY))
  })

  it("fails the build with the shim's message if it has an unknown key", async () => {
    await expect(buildConfig('unknown-key')).rejects.toThrow(/nix\.maxBuild: unknown key, did you mean maxBuilds\?/)
  })
})

/** Builds the command line of the unit and reads the file that it names. */
async function buildConfig(name: string): Promise<Record<string, unknown>> {
  const given = { name, shim: join(bed.dir, 'shim'), shell: join(bed.dir, 'shell') }
  const strings = Object.entries(given).flatMap(([key, value]) => ['--argstr', key, value])
  const { stdout } = await bed.run('nix-build', ['--no-out-link', ...strings, join(import.meta.dirname, 'build.nix')])
  const execStart = await readFile(join(bed.dir, stdout.trim()), 'utf8')
  const [, config = ''] = / serve --config (\S+)\n$/.exec(execStart) ?? []
  return v.parse(v.record(v.string(), v.unknown()), parse(await readFile(join(bed.dir, config), 'utf8')))
}
