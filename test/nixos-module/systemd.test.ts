import { basename } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startBed } from '../node/bed.ts'
import { recipePull } from '../node/recipe-pull.ts'
import { writeStoreImages } from '../node/store-image.ts'
import { PATIENT } from '../patience.ts'
import { IMAGES } from '../shim/import/store-layers/images.ts'
import { installShim } from '../systemd/install-shim.ts'
import { type SystemdNode, startSystemdNode } from '../systemd/systemd-node.ts'
import { evaluateMachines, theMachine, type UnitOptions } from './evaluate.ts'
import { renderUnit } from './unit-file.ts'

const SOCKET = '/run/enbi-shim/enbi-shim.sock'
const CONFIG = `
policy: [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**'] }]
nix: { credentials: { netrc: /etc/enbi-shim/netrc, sshKey: /run/secrets/none } }
`

/** The secret key, and the public one. */
const KEYS = ['/var/lib/enbi-share/secret-key', '/var/lib/enbi-share/public-key'] as const
const FEATURES = ['--extra-experimental-features', 'nix-command flakes']

const KUBECONFIG = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'a',
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
  clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1' } }], // nothing listens there
  users: [{ name: 'a', user: { token: 'secret' } }],
}

let node: SystemdNode
let machines: Awaited<ReturnType<typeof evaluateMachines>>

beforeAll(async () => {
  await using bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  machines = await evaluateMachines(bed)
  node = await startSystemdNode()
  // As systemd does outside of containers: the mount of a credential reaches the service's namespace.
  await node.run('mount', ['--make-rshared', '/'])
})
afterAll(() => node?.[Symbol.asyncDispose]())

test('the units of the NixOS module let the shim build, link layers and run the image under a real systemd', async () => {
  const { services, sockets } = theMachine(machines, 'kubelet')
  const units = { service: onNode(services['enbi-shim']), socket: onNode(sockets['enbi-shim']) }
  await node.write({ '/etc/enbi-shim/netrc': 'machine git.example login x password y\n' })
  await node.run('chmod', ['600', '/etc/enbi-shim/netrc'])
  await installShim(node, units, CONFIG)
  const { dir } = await writeStoreImages(node.outside('/srv'), IMAGES, '/usr/local/bin/node')
  const pull = recipePull({
    image: 'registry.example/small:1',
    flakeUrl: `path:/srv/${basename(dir)}`,
    packageName: 'conf.small',
  })
  const imageId = await node.cri(SOCKET).pullImage(pull)
  expect(await node.journal('enbi-shim')).toContain('by hard links, through /run/enbi-shim/view/root')
  const command = ['/bin/busybox', 'sh', '-c', 'stat -c "%h %u" /nix/store/*-many/share/folder-0/file-0']
  expect(await node.runPod({ imageId, command })).toEqual({ exitCode: 0, output: '2 0\n' })
})

test('only the build user can read the credentials of the NixOS module, and a missing one is logged and stops nothing', async () => {
  await vi.waitFor(async () => expect(await node.journal('enbi-shim')).toContain('cannot be read'), PATIENT)
  expect(await node.journal('enbi-shim')).toMatch(
    /"credential":"sshKey","path":"\/run\/secrets\/none","reason":"ENOENT/,
  )
  const read = (user: string) =>
    node.run(
      'setpriv',
      ['--reuid', user, '--regid', user, '--clear-groups', 'cat', '/var/lib/enbi-shim/build-home/.netrc'],
      {
        reject: false,
      },
    )
  expect((await read('enbi-shim')).stdout).toContain('git.example')
  expect((await read('games')).stderr).toContain('Permission denied')
})

test('the NixOS module makes the key of the node under a real systemd, and the Nix daemon signs with it', async () => {
  const unit = theMachine(machines, 'share').services['enbi-share-key']
  const { script = '' } = unit ?? {}
  const start = '/usr/local/bin/enbi-share-key-start'
  await node.write({
    // As NixOS does with a script.
    [start]: `#!/bin/sh\nset -e\n${script}`,
    '/etc/systemd/system/enbi-share-key.service': onNode(
      unit && { ...unit, serviceConfig: { ...unit.serviceConfig, ExecStart: start } },
    ),
  })
  await node.run('chmod', ['755', start])
  await node.run('systemctl', ['daemon-reload'])
  await node.run('systemctl', ['start', 'enbi-share-key.service'])
  const { stdout: files } = await node.run('stat', ['--format=%n %a %U', ...KEYS])
  expect(files).toBe(`${KEYS[0]} 600 root\n${KEYS[1]} 444 root`)
  const { stdout: key } = await node.run('cat', [KEYS[1]])
  expect(key).toMatch(/^worker-1\.enbi-1:\S{43}=$/)
  await node.run('sh', ['-c', `echo 'secret-key-files = ${KEYS[0]}' >> /etc/nix/nix.conf`])
  await node.run('systemctl', ['restart', 'nix-daemon.service'])
  const made =
    'derivation { name = "signed"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo x > $out" ]; }'
  const as = ['--reuid', 'enbi-shim', '--regid', 'enbi-shim', '--clear-groups', 'env', 'HOME=/tmp', 'NIX_REMOTE=daemon']
  const { stdout: path } = await node.run('setpriv', [...as, 'nix-build', '--no-out-link', '--expr', made])
  const { stdout: info } = await node.run('nix', ['path-info', '--sigs', path, ...FEATURES])
  expect(info).toContain('worker-1.enbi-1:')
})

test('the controller of the NixOS module runs under a real systemd as a dynamic user, with a kubeconfig that only root can read', async () => {
  await node.write({
    '/etc/enbi-controller/kubeconfig': JSON.stringify(KUBECONFIG),
    '/etc/systemd/system/enbi-controller.service': onNode(
      theMachine(machines, 'controller-flags').services['enbi-controller'],
    ),
  })
  await node.run('chmod', ['600', '/etc/enbi-controller/kubeconfig'])
  await node.run('systemctl', ['daemon-reload'])
  await node.run('systemctl', ['start', 'enbi-controller.service'])
  await vi.waitFor(async () => expect(await node.journal('enbi-controller')).toContain('ECONNREFUSED'), PATIENT)
  const { stdout } = await node.run('systemctl', [
    'show',
    '--property=NRestarts,ActiveState,MainPID',
    'enbi-controller',
  ])
  expect(stdout).toContain('NRestarts=0\nActiveState=active')
  const pid = /^MainPID=(\d+)$/m.exec(stdout)?.[1]
  const { stdout: user } = await node.run('stat', ['--format=%U', `/proc/${pid}`])
  expect(user).not.toBe('root')
})

/** The node does not run NixOS, so the paths of programs and the config differ. The rest is the module's. */
function onNode(unit: UnitOptions | undefined): string {
  if (unit === undefined) throw new Error('the module has not made that unit')
  const path = unit.path.length === 0 ? [] : ['/usr/local', '/usr']
  return renderUnit({ ...unit, path })
    .replace(/^ExecStart=\/nix\/store\/[^/]+/m, 'ExecStart=/usr/local')
    .replace(/ --config \S+$/m, ' --config /etc/enbi-shim/config.yaml')
}
