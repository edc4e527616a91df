import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import type { Kube, ObjectName } from '../../../kube/client/contract.ts'
import { nixBuilds } from '../../../kube/resources/nixbuild.ts'
import { nixNodes } from '../../../kube/resources/nixnode.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { installPlugin } from '../../cluster/kubectl-plugin.ts'
import { useCluster } from '../../cluster/use-cluster.ts'

let cluster: Cluster
let admin: Kube
let namespace: string
let dir: string
let plugins: string
/** Runs the plugin in the real kubectl, as a user with the role `view` in the namespace. */
let plugin: (...args: string[]) => Promise<string>
let pluginWithNotes: (...args: string[]) => Promise<{ readonly stdout: string; readonly stderr: string }>
/** The lines as they come. */
let pluginLines: (...args: string[]) => AsyncIterable<string>

beforeAll(async () => {
  cluster = await useCluster()
  admin = cluster.client()
  namespace = await cluster.createNamespace()
  dir = await mkdtemp(join(tmpdir(), 'enbi-kubectl-'))
  plugins = await installPlugin(dir)
  const viewer = { name: `viewer-of-${namespace}` }
  const kubeconfig = await cluster.kubeconfig(viewer)
  await cluster.kubectl([
    'create',
    'rolebinding',
    'viewer',
    '--clusterrole=view',
    `--user=${viewer.name}`,
    '-n',
    namespace,
  ])
  plugin = (command, ...args) =>
    cluster.kubectl(['nixbuild', command, ...args, '-n', namespace], { plugins, kubeconfig })
  const run = (command = '', ...args: string[]) =>
    execa(join(plugins, 'kubectl-nixbuild'), [command, ...args, '-n', namespace, '--kubeconfig', kubeconfig])
  pluginWithNotes = run
  pluginLines = (...args) => run(...args).iterable()
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  if (dir) await rm(dir, { recursive: true })
})

const recipeOf = (name: string) => ({
  flakeUrl: 'github:team/app',
  imageTag: `registry.example/team/${name}:1`,
  packageName: name,
  system: 'x86_64-linux',
})

async function addBuild(name: string, status: object, spec: object = {}): Promise<ObjectName> {
  const build = { namespace, name }
  await admin.create(nixBuilds, { ...build, body: { spec: { ...recipeOf(name), ...spec } } })
  await setStatus(build, status)
  return build
}

/** As the controller does. */
async function setStatus(build: ObjectName, status: object): Promise<void> {
  const object = { ...build, body: { status } }
  await admin.patch(nixBuilds, object, { type: 'merge', subresource: 'status', fieldManager: 'test' })
}

interface PodParts {
  readonly others?: readonly string[]
  readonly nodeName?: string
}

async function addPod(name: string, { others = [], nodeName = 'none' }: PodParts = {}): Promise<void> {
  const containers = [name, ...others].map(each => ({ name: each, image: recipeOf(each).imageTag }))
  const spec = { nodeName, containers }
  await cluster.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec })
}

/** As the shim of a node does. */
async function addNixNode(name: string, system: string): Promise<AsyncDisposable> {
  await admin.create(nixNodes, { name, body: { spec: {} } })
  const object = { name, body: { status: { system } } }
  await admin.patch(nixNodes, object, { type: 'merge', subresource: 'status', fieldManager: 'test' })
  return { [Symbol.asyncDispose]: () => admin.delete(nixNodes, { name }) }
}

const condition = (type: string, status: string, message: string) => ({
  ...{ type, status, message, reason: 'Test', lastTransitionTime: '2026-01-01T00:00:00Z' },
})

describe('kubectl nixbuild, for a user with the role view', () => {
  it('get shows NixBuilds with their nodes and progress', async () => {
    await addBuild('listed', { status: 'Building', buildNode: 'node-1', progress: 'building 3 of 7, hello' })
    const lines = (await plugin('get')).split('\n')
    expect(lines[0]).toMatch(/^NAME +IMAGE +STATUS +NODE +AGE +PROGRESS$/)
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^listed +registry\.example\/team\/listed:1 +Building +node-1 +\d+ s +building 3 of 7, hello$/,
      ),
    )
    await expect(plugin('get', 'missing')).rejects.toMatchObject({
      exitCode: 1,
      stderr: `kubectl nixbuild: there is no NixBuild missing in the namespace ${namespace}`,
    })
    await expect(plugin('get', 'node/missing')).rejects.toMatchObject({ exitCode: 2 })
  })

  it('get prints objects as kubectl does', async () => {
    await addBuild('whole', { status: 'Failed', logTail: 'on\nno\u009b2J\u202e' })
    await addBuild('second', {})
    await addPod('whole', { others: ['second'] })
    const kubectlGet = async (...args: string[]) =>
      JSON.parse(await cluster.kubectl(['get', 'nixbuild', ...args, '-n', namespace, '-o', 'json']))
    const whole = await kubectlGet('whole')
    const [json, yaml, line] = await Promise.all(
      [['-o', 'json'], ['-o', 'yaml'], ['--json']].map(format => plugin('get', 'whole', ...format)),
    )
    expect([json, line].map(text => JSON.parse(text ?? ''))).toEqual([whole, whole])
    expect(parse(yaml ?? '', { version: '1.1' })).toEqual(whole)
    // A terminal obeys these.
    expect(`${json}${yaml}${line}`).not.toMatch(/[\u009b\u202e]/)
    expect(JSON.parse(await plugin('get', '-o', 'json'))).toEqual(await kubectlGet())
    expect(JSON.parse(await plugin('get', 'pod/whole', '-o', 'json'))).toEqual(await kubectlGet('second', 'whole'))
    expect((await plugin('get', 'pod/whole', '--json')).split('\n')).toHaveLength(2)
    await expect(plugin('get', 'missing', '-o', 'json')).rejects.toMatchObject({
      exitCode: 1,
      stderr: `kubectl nixbuild: there is no NixBuild missing in the namespace ${namespace}`,
    })
    await expect(plugin('get', 'whole', '-A')).rejects.toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('give --namespace in place of --all-namespaces'),
    })
  })

  it('get takes a context of several kubeconfigs', async () => {
    await addBuild('elsewhere', {})
    const files = [join(dir, 'first'), join(dir, 'missing'), join(dir, 'second')]
    const inContext = (context: string, ...args: string[]) =>
      cluster.kubectl(['nixbuild', 'get', 'elsewhere', '--context', context, ...args], {
        ...{ plugins, kubeconfig: files.join(':') },
      })
    const { server, token, certificate } = cluster.access
    const there = { server, 'certificate-authority-data': Buffer.from(certificate).toString('base64') }
    const first = { clusters: [{ name: 'here', cluster: there }], 'current-context': 'away', contexts: null }
    const second = {
      clusters: [{ name: 'here', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'me', user: { token } }],
      contexts: [{ name: 'mine', context: { cluster: 'here', user: 'me', namespace } }],
    }
    await writeFile(join(dir, 'first'), stringify(first))
    await writeFile(join(dir, 'second'), stringify(second))
    expect(await inContext('mine')).toContain('elsewhere')
    await expect(inContext('none')).rejects.toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/there is no context "none"$/),
    })
  })

  it('wait shows the progress and the log until the build of a pod has ended', async () => {
    await addPod('waiting')
    const running = plugin('wait', 'pod/waiting', '--json')
    const build = await addBuild('waiting', {
      ...{ status: 'Building', buildNode: 'node-1', buildJobName: 'run', progress: 'building 3 of 7, hello' },
      logTail: 'compiling\nlinking',
    })
    await setStatus(build, { status: 'Succeeded', imageDigest: 'sha256:1' })
    const events = (await running).split('\n').map(line => JSON.parse(line))
    expect(events.at(-1)).toEqual({ phase: 'done', image: 'registry.example/team/waiting:1', imageId: 'sha256:1' })
    await setStatus(build, { status: 'Failed', conditions: [condition('Success', 'False', 'no such package')] })
    await expect(plugin('wait', 'waiting')).rejects.toMatchObject({
      exitCode: 1,
      stderr: 'kubectl nixbuild: no such package',
    })
  })

  it('wait also shows builds that come while another runs, and fails for a pod that does not exist', async () => {
    await addPod('early', { others: ['later'] })
    const early = await addBuild('early', { status: 'Building', progress: 'building 3 of 7, hello' })
    const images = new Set<string>()
    for await (const line of pluginLines('wait', 'pod/early', '--json')) {
      if (images.size === 0) {
        await addBuild('later', { status: 'Succeeded', imageDigest: 'sha256:2' })
        await setStatus(early, { status: 'Succeeded', imageDigest: 'sha256:1' })
      }
      images.add(JSON.parse(line).image ?? 'progress')
    }
    expect([...images]).toEqual(['progress', recipeOf('early').imageTag, recipeOf('later').imageTag])
    await expect(plugin('wait', 'pod/missing')).rejects.toMatchObject({
      exitCode: 1,
      stderr: `kubectl nixbuild: there is no pod missing in the namespace ${namespace}`,
    })
  })

  it('wait gives up after its timeout, having shown how far the build is', async () => {
    await addBuild('slow', { status: 'Building', progress: 'building 3 of 7, hello', logTail: 'compiling\nlinking' })
    await expect(plugin('wait', 'slow', '--timeout=2s')).rejects.toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/\| compiling\n +\| linking\n.*building 3 of 7, hello/),
      stderr: expect.stringContaining('(--timeout)'),
    })
  })

  it('logs shows the last lines, follows them, and says which right is missing for more', async () => {
    const run = { status: 'Building', buildNode: 'node-1', buildJobName: '20260101T000000Z-0a1b2c3d' }
    const build = await addBuild('logged', { ...run, logTail: 'compiling\nlinking' })
    const { stdout, stderr } = await pluginWithNotes('logs', 'logged')
    expect(stdout).toBe('compiling\nlinking')
    expect(stderr).toContain('the whole log takes the right to get nodes/proxy')

    const following = plugin('logs', '-f', 'logged')
    await setStatus(build, { ...run, logTail: 'linking\nstripping' })
    await setStatus(build, { status: 'Succeeded', logTail: 'stripping\ndone' })
    expect((await following).split('\n').slice(-2)).toEqual(['stripping', 'done'])
    // A node may have written any name of a run, which becomes part of a path.
    await addBuild('hostile', { ...run, status: 'Failed', buildJobName: '../../exec/kube-system/etcd/etcd' })
    expect((await pluginWithNotes('logs', 'hostile')).stderr).toMatch(/^the NixBuild hostile has no lines of a log/)
  })

  it('why says what a pod waits for, and the way out', async () => {
    await addPod('puzzling')
    await addBuild('puzzling', { status: 'Building', buildNode: 'node-1', progress: 'building 3 of 7, hello' })
    expect(await plugin('why', 'pod/puzzling')).toBe(
      'pod/puzzling waits for its image: registry.example/team/puzzling:1 is being built on node-1 (building 3 of 7, hello). It starts by itself afterwards; kubectl nixbuild logs -f pod/puzzling shows the log.',
    )
    await expect(plugin('why', 'pod/missing')).rejects.toMatchObject({ exitCode: 1 })
    await expect(plugin('why', 'puzzling')).rejects.toMatchObject({ exitCode: 2 })
  })
})

describe('kubectl nixbuild, in a namespace with NixBuilds for several systems', () => {
  it('shows those for the system of the node of a pod, and says so if it cannot be read', async () => {
    const node = `arm-of-${namespace}`
    await using _nixNode = await addNixNode(node, 'aarch64-linux')
    const { imageTag } = recipeOf('mixed')
    await addBuild('mixed-1', { status: 'Failed', logTail: 'for x86' }, { imageTag })
    const building = { status: 'Building', progress: 'building 3 of 7, hello', logTail: 'for arm' }
    const arm = await addBuild('mixed-2', building, { imageTag, system: 'aarch64-linux' })
    await addPod('mixed', { nodeName: node })
    const asAdmin = { kubeconfig: cluster.adminKubeconfig, plugins }
    const forAdmin = (...args: string[]) => cluster.kubectl(['nixbuild', ...args, '-n', namespace], asAdmin)
    expect(await forAdmin('why', 'pod/mixed')).toMatch(/ is being built \(building 3 of 7, hello\)/)
    expect(await forAdmin('logs', 'pod/mixed')).toBe('for arm')

    const both = new RegExp(`mixed-1 for x86_64-linux.*mixed-2 for aarch64-linux.*${node}`)
    expect(await plugin('why', 'pod/mixed')).toMatch(both)
    const { stdout, stderr } = await pluginWithNotes('logs', 'pod/mixed')
    expect(stdout.split('\n').toSorted()).toEqual(['for arm', 'for x86'])
    expect(stderr).toMatch(both)
    // The failure of the first one decides nothing.
    await expect(plugin('wait', 'pod/mixed', '--timeout=2s')).rejects.toMatchObject({
      stderr: expect.stringMatching(new RegExp(`${both.source}[^]* has not ended after`)),
    })
    const waiting = plugin('wait', 'pod/mixed')
    // What a NixBuild says about the node is enough.
    await setStatus(arm, { ...building, status: 'Succeeded', imageDigest: 'sha256:1', buildNode: node })
    expect(await plugin('logs', 'pod/mixed')).toBe('for arm')
    expect(await waiting).toContain('sha256:1')
  })
})
