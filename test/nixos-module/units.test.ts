import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { type Bed, startBed } from '../node/bed.ts'
import { evaluateMachines, type Machine, theMachine } from './evaluate.ts'
import { parseUnit, renderUnit, type UnitFile } from './unit-file.ts'

const PLAIN_UNITS = join(import.meta.dirname, '../../deploy/systemd')
let bed: Bed
let machines: Awaited<ReturnType<typeof evaluateMachines>>

beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  machines = await evaluateMachines(bed)
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

const machine = (name: string): Machine => theMachine(machines, name)
const shimOf = (name: string) => machine(name).services['enbi-shim']
const controllerOf = (name: string) => machine(name).services['enbi-controller']

describe('the units of the NixOS module', () => {
  it('equal those in deploy/systemd except for store paths', async () => {
    const service = flatten(await plainUnit('enbi-shim.service'))
    expect(flatten(rendered(machine('kubelet'), 'services', 'enbi-shim'))).toEqual({
      ...service,
      'Service.ExecStart': ['/nix/store/enbi-shim/bin/enbi-shim serve --config /nix/store/enbi-shim-checked.json'],
      'Service.Environment': ['NIX_REMOTE=daemon', 'NOTIFY_SOCKET=/run/enbi-shim/notify/socket', `PATH=${NIX_PATHS}`],
      'Service.InaccessiblePaths': service['Service.InaccessiblePaths']?.flatMap(paths => paths.split(' ')),
    })
    expect(rendered(machine('kubelet'), 'sockets', 'enbi-shim')).toEqual(await plainUnit('enbi-shim.socket'))
  })

  it('come with the user and the folder that deploy/systemd creates', async () => {
    const { users, tmpfiles } = machine('kubelet')
    const user = /^u (\S+) - "(.*)" (\S+)$/m.exec(await plainFile('enbi-shim.sysusers.conf'))
    const [, name = '', description, home] = user ?? []
    expect(users).toEqual({
      users: { [name]: { isSystemUser: true, group: name, description, home } },
      groups: { [name]: {} },
    })
    expect(await plainFile('enbi-shim.tmpfiles.conf')).toContain(`\n${tmpfiles.rules.join('\n')}\n`)
  })

  it("differ for k3s only by its containerd's folder", () => {
    const withKubelet = flatten(rendered(machine('kubelet'), 'services', 'enbi-shim'))
    expect(flatten(rendered(machine('k3s'), 'services', 'enbi-shim'))).toEqual({
      ...withKubelet,
      'Service.ReadWritePaths': ['-/var/log', '-/var/lib/rancher/k3s/agent/containerd'],
    })
    expect(machine('k3s').tmpfiles.rules).toEqual(['d /var/lib/rancher/k3s/agent/containerd 0700 root root'])
  })

  it('restart in one step when they change', () => {
    expect(shimOf('kubelet')?.stopIfChanged).toBe(false)
  })

  it('run the configured package, which is also on the PATH', () => {
    expect(shimOf('own-package')?.serviceConfig.ExecStart).toMatch(/^\/nix\/store\/own-shim\/bin\/own-shim serve /)
    expect(machine('own-package').packages).toEqual(['/nix/store/own-shim'])
  })

  it('listen on the socket that the kubelet uses', () => {
    const { sockets, kubelet } = machine('own-socket')
    expect(sockets['enbi-shim']?.socketConfig.ListenStream).toBe('/run/other/shim.sock')
    expect(kubelet.imageServiceEndpoint).toBe('unix:///run/other/shim.sock')
  })

  it('may write to configured folders, and start without them', () => {
    expect(shimOf('own-state-below-var-lib')?.serviceConfig).toMatchObject({ StateDirectory: 'images/shim' })
    const { serviceConfig } = shimOf('own-folders') ?? {}
    expect(serviceConfig).toMatchObject({ ReadWritePaths: ['-/srv/logs', '-/srv/containerd', '-/srv/enbi-shim'] })
    expect(serviceConfig).not.toHaveProperty('StateDirectory')
    expect(shimOf('kubelet')?.serviceConfig.ReadWritePaths).toContain('-/var/log')
    expect(machine('own-folders').tmpfiles.rules).toEqual([
      'd /srv/containerd 0700 root root',
      'd /srv/enbi-shim 0711 root root',
      'd /srv/logs 0750 root root',
    ])
  })

  it.each([
    ['one-disk', '/'],
    ['store-bound-onto-itself', '/'],
    ['root-in-memory', '/nix'],
    ['own-folders', '/srv'],
    ['containerd-in-nix', '/nix'],
  ])('see store and snapshots through one mount with %s', (name, mountPoint) => {
    expect(shimOf(name)?.serviceConfig.BindPaths).toContain(`${mountPoint}:/run/enbi-shim/view/root:norbind`)
  })

  it('cannot reach bind mounts through this mount', () => {
    const { serviceConfig } = shimOf('root-in-memory') ?? {}
    expect(serviceConfig?.InaccessiblePaths).toContain('-/run/enbi-shim/view/root/persist/etc/ssh')
    expect(serviceConfig?.InaccessiblePaths).not.toContain('-/run/enbi-shim/view/root/persist/var/lib')
  })

  it("cannot reach Nix's database and other services' folders, wherever they are on the disk", () => {
    const { serviceConfig } = shimOf('root-in-memory') ?? {}
    for (const path of ['var', 'persist/var/lib/etcd', 'persist/var/lib/docker'])
      expect(serviceConfig?.InaccessiblePaths).toContain(`-/run/enbi-shim/view/root/${path}`)
    expect(shimOf('containerd-in-nix')?.serviceConfig.InaccessiblePaths).toEqual([
      '/run/systemd/notify',
      '-/run/enbi-shim/view/root/var',
    ])
  })

  it("can reach containerd's folder in an unusual place", () => {
    const { serviceConfig } = shimOf('containerd-in-opt') ?? {}
    expect(serviceConfig?.InaccessiblePaths).not.toContain('-/run/enbi-shim/view/root/opt')
    expect(serviceConfig?.InaccessiblePaths).toContain('-/run/enbi-shim/view/root/etc')
  })

  it.each(['more-settings', 'two-disks'])('have no such mount if hard links are impossible, with %s', name => {
    const { serviceConfig } = shimOf(name) ?? {}
    for (const directive of ['BindPaths', 'InaccessiblePaths', 'TemporaryFileSystem'])
      expect(serviceConfig?.[directive]).toEqual([expect.stringContaining('notify')])
  })

  it('have the configured memory limit', () => {
    expect(shimOf('kubelet')?.serviceConfig).toMatchObject({ MemoryMax: '50%' })
    expect(shimOf('own-memory-limits')?.serviceConfig.MemoryMax).toBe('8G')
  })

  it('read the configured file of environment variables', () => {
    expect(shimOf('own-environment')?.serviceConfig.EnvironmentFile).toBe('/run/secrets/enbi-shim.env')
    expect(shimOf('kubelet')?.serviceConfig).not.toHaveProperty('EnvironmentFile')
  })
})

describe('the build user', () => {
  it.each([
    ['kubelet', { 'extra-allowed-users': ['enbi-shim'] }, ['enbi-shim']],
    ['own-user', { 'extra-allowed-users': ['builder'] }, []],
    ['root-builds', {}, []],
  ])('may use Nix without locking others out, and the module creates only its own user, with %s', (name, nix, made) => {
    expect(machine(name).nix).toEqual(nix)
    expect(Object.keys(machine(name).users.users)).toEqual(made)
  })
})

test('the NixOS module opens the port of the metrics on request', () => {
  expect(machine('metrics').firewall.allowedTCPPorts).toEqual([9100])
  expect(machine('kubelet').firewall.allowedTCPPorts).toEqual([])
})

describe('the controller of the NixOS module', () => {
  it('gets its kubeconfig as a credential of systemd, and its flags as quoted arguments', () => {
    const start = '/nix/store/enbi-controller/bin/enbi-controller --kubeconfig=%d/kubeconfig'
    expect(controllerOf('controller-flags')?.serviceConfig).toMatchObject({
      DynamicUser: true,
      LoadCredential: 'kubeconfig:/etc/enbi-controller/kubeconfig',
      ExecStart: `${start} "--keep-finished=50" "--listen=127.0.0.1:0" "--log-level=debug" "--node-repel=tier in (a, b)" "--tolerate=dedicated=builds" "--tolerate=example.com/spot:NoSchedule"`,
    })
    expect(controllerOf('controller-quoting')?.serviceConfig.ExecStart).toBe(`${start} "--node-repel=a \\"$$b\\" 5%%"`)
  })

  it('needs only a kubeconfig, with or without a shim on the machine', () => {
    const start = '/nix/store/enbi-controller/bin/enbi-controller --kubeconfig=%d/kubeconfig'
    expect(controllerOf('controller')?.serviceConfig.ExecStart).toBe(start)
    expect(Object.keys(machine('controller').services)).toEqual(['enbi-controller'])
    expect(Object.keys(machine('k3s-and-controller').services)).toEqual(['enbi-controller', 'enbi-shim', 'k3s'])
    expect(Object.keys(machine('k3s').services)).toEqual(['enbi-shim', 'k3s'])
  })
})

test('the NixOS module sets up nothing unless it is enabled', () => {
  expect(machine('off')).toMatchObject({ services: {}, sockets: {}, kubelet: {}, nix: {}, packages: [] })
})

describe('systemd', () => {
  it.each([
    ['kubelet', 'enbi-shim', 29],
    ['k3s-in-cluster', 'enbi-shim', 29],
    ['own-folders', 'enbi-shim', 29],
    ['own-environment', 'enbi-shim', 29],
    ['controller-flags', 'enbi-controller', 20],
  ])('accepts every directive and rates the exposure as low for the machine %s', async (name, service, threshold) => {
    const folder = await writeUnits(name)
    const file = join(folder, `${service}.service`)
    const { stderr } = await bed.run('systemd-analyze', ['verify', file], { env: { SYSTEMD_UNIT_PATH: `${folder}:` } })
    expect(stderr).toBe('')
    await bed.run('systemd-analyze', ['security', '--no-pager', '--offline=true', `--threshold=${threshold}`, file])
  })
})

/** All units of a machine, with programs that exist, because systemd checks for them. */
async function writeUnits(name: string): Promise<string> {
  const folder = join(bed.dir, name)
  await mkdir(folder)
  const { services, sockets } = machine(name)
  for (const [kind, units] of Object.entries({ service: services, socket: sockets }))
    for (const [unit, options] of Object.entries(units)) {
      if (options.description === '') continue // of another module
      const text = renderUnit(options).replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true')
      await writeFile(join(folder, `${unit}.${kind}`), text)
    }
  return folder
}

const NIX_PATHS = '/nix/store/nix/bin:/nix/store/gitMinimal/bin:/nix/store/openssh/bin'

function rendered(machine: Machine, kind: 'services' | 'sockets', name: string): UnitFile {
  const options = machine[kind][name]
  if (options === undefined) throw new Error(`there is no ${name} among the ${kind}`)
  return parseUnit(renderUnit(options))
}

async function plainUnit(name: string): Promise<UnitFile> {
  return parseUnit(await plainFile(name))
}

async function plainFile(name: string): Promise<string> {
  return await readFile(join(PLAIN_UNITS, name), 'utf8')
}

/** One key for each directive, so that a difference names it. */
function flatten(unit: UnitFile): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(unit).flatMap(([section, directives]) =>
      Object.entries(directives).map(([key, values]) => [`${section}.${key}`, values]),
    ),
  )
}
