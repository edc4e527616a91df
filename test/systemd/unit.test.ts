import { readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { readGuides, readTested } from '../docs/code-blocks.ts'
import { connectCri } from '../node/cri.ts'
import { copyExample } from '../node/example.ts'
import { expectNoTrace } from '../node/no-trace.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { writeStoreImages } from '../node/store-image.ts'
import { PATIENT } from '../patience.ts'
import { IMAGES } from '../shim/import/store-layers/images.ts'
import { LARGE_BYTES, nix2containerFlake, UNKNOWN_DIGESTS } from '../shim/import/store-layers/nix2container-flake.ts'
import { readUnits, type ShimUnits } from './install-shim.ts'
import { type SystemdNode, startSystemdNode } from './systemd-node.ts'

const INSTALLATION = 'install-with-systemd.md'
const SOCKET = '/run/enbi-shim/enbi-shim.sock'
const VIEW = '/run/enbi-shim/view/root'
const CONFIG = `
policy:
  - { namespaces: ['*'], images: ['**'], flakes: ['path:/**'] }
`
/** As the shim runs nix. */
const LIST_AS_BUILD_USER = `
import { readdirSync } from 'node:fs'
process.setgroups([])
process.setgid('enbi-shim')
process.setuid('enbi-shim')
readdirSync(process.argv[2])
`
const NOTIFY_AS_BUILD_USER = `
import { spawnSync } from 'node:child_process'
process.setgroups([])
process.setgid('enbi-shim')
process.setuid('enbi-shim')
const { PATH } = process.env
const tell = socket => spawnSync('systemd-notify', ['STATUS=taken over'], { env: { PATH, NOTIFY_SOCKET: socket } })
process.exitCode = process.argv.slice(2).some(socket => tell(socket).status === 0) ? 0 : 1
`
/** Of `systemd-analyze security`, in tenths: what the service has to be able to do does not leave less. */
const EXPOSURE = 29

let node: SystemdNode
let units: ShimUnits
let formats: string
beforeAll(async () => {
  node = await startSystemdNode()
  formats = onNode((await copyExample('formats', node.outside('/srv'))).dir)
  units = await readUnits()
  await follow(INSTALLATION, 'install', 'kubelet', 'start')
  await node.write({ '/etc/enbi-shim/config.yaml': CONFIG })
  await node.run('systemctl', ['restart', 'enbi-shim.service'])
})
afterAll(async () => {
  await node?.[Symbol.asyncDispose]()
  expectNoTrace(node.dir)
})

test('systemd finds nothing to complain about', async () => {
  const units = ['service', 'socket'].map(kind => `/etc/systemd/system/enbi-shim.${kind}`)
  const { stdout, stderr } = await node.run('systemd-analyze', ['verify', ...units])
  expect([stdout, stderr]).toEqual(['', ''])
  await node.run('systemd-analyze', ['security', '--offline=true', `--threshold=${EXPOSURE}`, units[0] ?? ''])
})

test('layers of store paths are hard links, made through the mount of the unit; files of another owner are copied', async () => {
  const images = await writeStoreImages(node.outside('/srv'), IMAGES, '/usr/local/bin/node')
  const flake = onNode(images.dir)
  const imageId = await pull('registry.example/small:1', flake, 'conf.small')
  expect(await node.journal('enbi-shim')).toContain('by hard links, through /run/enbi-shim/view/root')
  const command = ['/bin/busybox', 'sh', '-c', 'stat -c "%h %u" /nix/store/*-many/share/folder-0/file-0']
  expect(await node.runPod({ imageId, command })).toEqual({ exitCode: 0, output: '2 0\n' })

  const ownedId = await pull('registry.example/owned:1', flake, 'conf.owned')
  expect(await node.runPod({ imageId: ownedId, command })).toEqual({ exitCode: 0, output: '1 1000\n' })
})

test('a file of an image may run as its owner and its group', async () => {
  await node.write({
    '/srv/document/flake.nix': nix2containerFlake(UNKNOWN_DIGESTS, { mode: '6711', gid: 77, size: LARGE_BYTES }),
  })
  const imageId = await pull('registry.example/document:1', 'path:/srv/document', 'image')
  expect((await node.runPod({ imageId })).output).toMatch(/^6711 1 \/bin\/busybox\n/)
})

test('an archive is built, imported, and runs; what it was made from is let go of with it', async () => {
  const imageId = await pull('registry.example/archive:1', formats, 'docker-archive')
  const { output } = await node.runPod({ imageId })
  expect(output).toBe('hello from a Nix-built image\n')
  const before = await gcRoots()
  await node.cri(SOCKET).removeImage('registry.example/archive:1')
  await vi.waitFor(async () => expect(await gcRoots()).toBe(before - 1), PATIENT)
})

test('`enbi-shim pull` reaches it at its default socket', async () => {
  const recipe = ['--flake', formats, '--package', 'stream']
  const { stdout } = await node.run('enbi-shim', ['pull', 'registry.example/by-hand:1', ...recipe])
  expect(stdout).toContain('registry.example/by-hand:1')
})

test('`enbi-shim doctor` finds nothing wrong but that no kubelet runs here, and that Nix is old', async () => {
  const { stdout } = await node.run('enbi-shim', ['doctor', '--config', '/etc/enbi-shim/config.yaml'])
  expect(stdout.match(/^[✗!].*$/gm)).toEqual([
    '! kubelet: there is no process kubelet here, and no k3s',
    expect.stringMatching(/^! nix flaws: with nix 2\.8\.0 .*CVE-2024-27297/),
    expect.stringMatching(/^! sandbox: builds run without a sandbox/),
  ])
  expect(stdout).toMatch(/^✓ nix daemon: /m)
  expect(stdout).toMatch(/^✓ cgroup: /m)
  expect(stdout).toMatch(/^– kubelet restart: no kubelet/m)
})

test.each([
  ['write to /etc', 'touch /etc/written'],
  ['write to the store', 'touch /nix/store/written'],
  ['write to /etc through the mount that links are made through', `touch ${VIEW}/etc/written`],
  ['read what is in a home', 'cat /root/secret'],
  ['read it through that mount', `cat ${VIEW}/root/secret`],
  ["read another service's folder through that mount", `cat ${VIEW}/var/lib/etcd/secret`],
  ['see that mount as the build user', `node /srv/list-as-build-user.mjs ${VIEW}`],
  [
    'tell systemd as the build user how it is',
    'node /srv/notify-as-build-user.mjs /run/systemd/notify /run/enbi-shim/notify/socket',
  ],
  ['mount anything', 'mount -t tmpfs tmpfs /tmp'],
])('the service cannot %s', async (_what, script) => {
  await node.write({
    '/root/secret': '',
    '/var/lib/etcd/secret': '',
    '/srv/list-as-build-user.mjs': LIST_AS_BUILD_USER,
    '/srv/notify-as-build-user.mjs': NOTIFY_AS_BUILD_USER,
  })
  expect(await runAsService(script)).not.toBe(0)
  expect(await runAsService(`ls ${VIEW}/nix/store && touch /var/lib/enbi-shim/written`)).toBe(0)
  expect(await runAsService('node /srv/list-as-build-user.mjs /nix/store')).toBe(0)
  expect(await runAsService('systemd-notify "STATUS=still there"')).toBe(0)
})

test('a user of the node cannot connect to the socket that systemd opens', async () => {
  const connect = `perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new("${SOCKET}") or die $!'`
  await node.run('sh', ['-c', connect])
  const { stderr } = await node.run(
    'setpriv',
    ['--reuid=games', '--regid=games', '--clear-groups', 'sh', '-c', connect],
    {
      reject: false,
    },
  )
  expect(stderr).toContain('Permission denied')
})

test('the service finds what the multi-user installation of Nix has', async () => {
  const programs = '/nix/var/nix/profiles/default/bin'
  await node.run('sh', ['-euc', `mkdir -p ${programs}; ln -s /bin/true ${programs}/of-the-profile`])
  expect(await runAsService('of-the-profile')).toBe(0)
})

test('a build that runs is finished by a stop, which leaves nothing behind', async () => {
  const { dir } = await copyExample('formats', node.outside('/srv'))
  await writeFile(join(dir, 'gate'), '/srv/gate')
  const pulled = pull('registry.example/gated:1', onNode(dir), 'gated')
  await vi.waitFor(async () => expect(await buildProcesses()).toContain('nix'), PATIENT)
  // Before any pod.
  const scores = 'cat $(pgrep --uid enbi-shim | sed "s,.*,/proc/&/oom_score_adj,")'
  // A process may end between being listed and being read.
  const readScores = async () => new Set((await node.run('sh', ['-c', scores])).stdout.split('\n'))
  await vi.waitFor(async () => expect(await readScores()).toEqual(new Set(['1000'])), PATIENT)
  const stopped = node.run('systemctl', ['stop', 'enbi-shim.service'])
  await vi.waitFor(async () => expect(await node.journal('enbi-shim')).toContain('"stopping"'), PATIENT)
  await node.write({ '/srv/gate': '' })
  await expect(pulled).resolves.toMatch(/^sha256:/)
  await stopped
  expect(await property('Result')).toBe('success')
  expect(await node.journal('enbi-shim')).toContain('"stopped"')
  expect(await buildProcesses()).toBe('')
})

test('a call wakes the service that was stopped, and waits for it', async () => {
  await node.run('systemctl', ['stop', 'enbi-shim.service'])
  await expect(node.cri(SOCKET).imageFsInfo()).resolves.toHaveLength(1)
  expect(await property('ActiveState')).toBe('active')
})

test('no call fails while it is restarted', async () => {
  let isRestarting = true
  const restarted = node.run('systemctl', ['restart', 'enbi-shim.service']).finally(() => {
    isRestarting = false
  })
  while (isRestarting) {
    using cri = connectCri(node.outside(SOCKET))
    await cri.imageFsInfo()
  }
  await restarted
})

test('a service that was killed is started again', async () => {
  const before = await property('MainPID')
  await node.run('systemctl', ['kill', '--signal', 'KILL', 'enbi-shim.service'])
  // Without a call that would wake it.
  await vi.waitFor(async () => expect(['0', before]).not.toContain(await property('MainPID')), PATIENT)
})

test('the guides verify the installation, take credentials and upgrade the units, and pulls go on', async () => {
  await follow(INSTALLATION, 'verify')
  await follow('private-flakes.md', 'credentials', 'by-hand')
  await follow(INSTALLATION, 'upgrade')
  await expect(pull('registry.example/after-upgrade:1', formats, 'docker-archive')).resolves.toMatch(/^sha256:/)
})

test.each((await readGuides()).filter(({ tested }) => tested === 'drop-in'))(
  'systemd takes the drop-in at $place',
  async ({ text }) => {
    const file = '/etc/systemd/system/enbi-shim.service.d/override.conf'
    await node.write({ [file]: text })
    const { stdout, stderr } = await node.run('systemd-analyze', ['verify', '/etc/systemd/system/enbi-shim.service'])
    expect([stdout, stderr]).toEqual(['', ''])
    await node.run('rm', ['-r', '/etc/systemd/system/enbi-shim.service.d'])
  },
)

test.each((await readGuides()).filter(({ tested }) => tested === 'nix-conf'))(
  'Nix knows the settings at $place',
  async ({ text }) => {
    await node.write({ '/srv/nix-conf/nix.conf': text })
    const { stderr } = await node.run('env', [
      'NIX_CONF_DIR=/srv/nix-conf',
      'nix',
      '--extra-experimental-features',
      'nix-command',
      'show-config',
    ])
    expect(stderr).not.toContain('unknown setting')
  },
)

test('nothing is left when it is undone, but what containerd and npm have', async () => {
  await follow(INSTALLATION, 'unwire', 'undo')
  const { stdout } = await node.run('sh', ['-c', 'find /etc /var -xdev -name "*enbi-shim*"; getent passwd enbi-shim'], {
    reject: false,
  })
  expect(stdout).toBe('')
})

/** Runs blocks of a how-to guide, one after the other in one shell. */
async function follow(guide: string, ...names: string[]): Promise<void> {
  const commands = await readTested(guide, names)
  await node.run('sh', ['-euxc', `cd "$(mktemp -d)"\n${commands}`])
}

async function pull(image: string, flakeUrl: string, packageName: string): Promise<string> {
  return node.cri(SOCKET).pullImage(recipePull({ image, flakeUrl, packageName }))
}

/** The flake URL on the node of a folder below /srv. */
function onNode(dir: string): string {
  return `path:/srv/${basename(dir)}`
}

async function gcRoots(): Promise<number> {
  return (await readdir(node.outside('/var/lib/enbi-shim/gcroots'))).length
}

/** Command lines of the build user's processes. */
async function buildProcesses(): Promise<string> {
  const { stdout } = await node.run('pgrep', ['--list-full', '--uid', 'enbi-shim'], { reject: false })
  return stdout
}

async function property(name: string): Promise<string> {
  const { stdout } = await node.run('systemctl', ['show', '--value', '--property', name, 'enbi-shim.service'])
  return stdout
}

/** Runs a shell script as the unit would run the shim. Resolves to its exit code. */
async function runAsService(script: string): Promise<number | undefined> {
  const probe = units.service
    .replace(/^ExecStart=.*$/m, `ExecStart=/bin/sh -euc '${script}'`)
    .replace(/^Type=.*$/m, 'Type=oneshot')
    .replace(/^Restart=.*$/m, 'Restart=no')
  await node.write({ '/etc/systemd/system/probe.service': probe })
  await node.run('systemctl', ['daemon-reload'])
  return (await node.run('systemctl', ['start', 'probe.service'], { reject: false })).exitCode
}
