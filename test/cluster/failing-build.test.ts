import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyExample } from '../node/example.ts'
import type { PodRecipe } from '../node/recipe-pull.ts'
import { PATIENT, PATIENT_BY_PROGRAM } from '../patience.ts'
import { listNixBuilds, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { countBuilds } from '../shim/pull/builds.ts'
import { makeGatedFlake } from './gated-flake.ts'
import { imageBuilt } from './image-built.ts'
import { installPlugin } from './kubectl-plugin.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, SLEEP, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

const REASON = 'cc: fatal error: hello.c: no such file'

let cluster: WholeCluster
let node: ClusterNode

beforeAll(async () => {
  cluster = await useWholeCluster()
  const policy = [
    { namespaces: ['*'], images: ['registry.example/team/*'], flakes: ['path:/**'] },
    { namespaces: ['*'], images: ['registry.example/pinned/*'], flakes: ['github:team/*'], requireLocked: true },
  ]
  const nix = { user: 'nobody', rememberFailures: '1ms' }
  node = await cluster.addNode({ servesLogs: true, shim: { config: { policy, nix } } })
  const logs = join(node.shim.stateDir, 'logs')
  await node.bed.run('mkdir', ['--parents', logs])
  await node.bed.run('mount', ['--bind', logs, '/var/log/enbi-shim'])
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

async function applyPod(pod: PodName, recipe: PodRecipe): Promise<void> {
  await cluster.apply(podManifest({ ...pod, node: node.name, image: recipe.image, recipe, command: SLEEP }))
}

function describePod({ namespace, name }: PodName): Promise<string> {
  return cluster.kubectl(['describe', 'pod', name, `--namespace=${namespace}`])
}

test("a build that fails shows the builder's last lines in the pod, and its NixBuild is Failed", async () => {
  const { url: flakeUrl } = await copyExample('failures', node.bed.dir)
  const pod = { namespace: await cluster.createNamespace(), name: 'failing' }
  const image = 'registry.example/team/failing:1'
  await applyPod(pod, { image, flakeUrl, packageName: 'chatty' })

  await expect
    .poll(() => describePod(pod), PATIENT_BY_PROGRAM)
    .toMatch(/Warning +Failed .*Failed to pull image(.*\n)*?.*step 10000\n.*hello\.c: no such file/)
  for (const reason of ['NixBuildFailed', 'Failed']) {
    const messages = async () => (await podEvents(cluster, pod)).filter(event => event.reason === reason)
    await expect
      .poll(messages, PATIENT)
      .toContainEqual({ type: 'Warning', reason, message: expect.stringMatching(`step 10000\n *${REASON}`) })
  }
  const [nixBuild] = await untilNixBuilds(cluster, pod.namespace, { status: 'Failed', buildNode: node.name })
  expect(nixBuild?.status).toMatchObject({
    logTail: expect.stringMatching(`step 10000\n${REASON}$`),
    conditions: [
      { type: 'Complete', status: 'True', reason: 'BuildFinished', message: 'Build failed' },
      { type: 'Success', status: 'False', reason: 'ResultFailure', message: expect.stringContaining(REASON) },
    ],
    failed: { count: 1, nodes: [node.name] },
  })
  await expect
    .poll(() => imageBuilt(cluster, pod), PATIENT)
    .toMatchObject({ status: 'False', reason: 'Failed', message: expect.stringContaining(REASON) })

  // The kubelet serves the log to everyone who may read logs of the node, and the plugin shows it.
  const log = `/api/v1/nodes/${node.name}/proxy/logs/enbi-shim/${nixBuild?.status.buildJobName}.log`
  const whole = await cluster.kubectl(['get', '--raw', log])
  expect(whole).toMatch(/> step 1\n.*> step 2\n/)
  expect(whole).toContain(REASON)
  const plugins = await installPlugin(await mkdtemp(join(node.bed.dir, 'plugin-')))
  const shown = await cluster.kubectl(['nixbuild', 'logs', `pod/${pod.name}`, '-n', pod.namespace], { plugins })
  expect(shown).toBe(whole.trimEnd())
})

test('the log of a build that lasts is live, for those who may read logs of nodes and for others', async () => {
  const flake = await makeGatedFlake(cluster)
  const pod = { namespace: await cluster.createNamespace(), name: 'lasting' }
  await applyPod(pod, flake.recipe('registry.example/team/lasting:1'))
  const [building] = await untilNixBuilds(cluster, pod.namespace, { status: 'Building', buildNode: node.name })
  const plugins = await installPlugin(await mkdtemp(join(node.bed.dir, 'plugin-')))
  const following = cluster.kubectl(['nixbuild', 'logs', '-f', `pod/${pod.name}`, '-n', pod.namespace], { plugins })
  await untilNixBuilds(cluster, pod.namespace, { logTail: expect.stringContaining('waiting for the gate') })
  await flake.open()
  expect(await following).toContain('waiting for the gate')
  const [built] = await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded' })
  expect(built?.metadata.name).toBe(building?.metadata.name)
  expect(built?.status.logTail).toContain('waiting for the gate')
})

test('after the flake is fixed a new pod runs, and the failed pod runs after its next pull', async () => {
  const flake = await copyExample('formats', node.bed.dir)
  const file = join(flake.dir, 'flake.nix')
  const fixed = await readFile(file, 'utf8')
  await writeFile(file, fixed.replace('mv layer.tar archive', 'mv no-such-file archive'))
  const recipe = { image: 'registry.example/team/fixed:1', flakeUrl: flake.url, packageName: 'docker-archive' }
  const namespace = await cluster.createNamespace()
  const [before, after] = ['before', 'after'].map(name => ({ namespace, name })) as [PodName, PodName]
  await applyPod(before, recipe)
  await expect.poll(() => describePod(before), PATIENT_BY_PROGRAM).toContain('no-such-file')
  await untilNixBuilds(cluster, namespace, { status: 'Failed' })

  await writeFile(file, fixed)
  await applyPod(after, recipe)
  await waitForPhase(cluster, after, 'Running')
  expect((await podEvents(cluster, after)).map(({ reason }) => reason)).not.toContain('Failed')
  for (const pod of [after, before]) {
    await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
    await waitForPhase(cluster, pod, 'Running')
  }
  const [nixBuild] = await untilNixBuilds(cluster, namespace, { status: 'Succeeded', buildNode: node.name })
  expect(nixBuild?.status.logTail).toBeUndefined()
})

test('a pod whose annotation names a fixed flake at another URL runs beside the failed NixBuild', async () => {
  const broken = await copyExample('failures', node.bed.dir)
  const fixed = await copyExample('formats', node.bed.dir)
  const image = 'registry.example/team/moved:1'
  const namespace = await cluster.createNamespace()
  const [before, after] = ['before', 'after'].map(name => ({ namespace, name })) as [PodName, PodName]
  await applyPod(before, { image, flakeUrl: broken.url, packageName: 'chatty' })
  await untilNixBuilds(cluster, namespace, { status: 'Failed' })
  await applyPod(after, { image, flakeUrl: fixed.url, packageName: 'docker-archive' })
  await waitForPhase(cluster, after, 'Running')
  await expect.poll(() => imageBuilt(cluster, after), PATIENT).toMatchObject({ status: 'True' })
  await expect.poll(() => imageBuilt(cluster, before), PATIENT).toMatchObject({ status: 'False', reason: 'Failed' })
  const states = async () =>
    Object.fromEntries(
      (await listNixBuilds(cluster, namespace)).map(({ spec, status }) => [spec.flakeUrl, status.status]),
    )
  await expect.poll(states, PATIENT).toEqual({ [broken.url]: 'Failed', [fixed.url]: 'Succeeded' })
})

test.each([
  [
    'an image that no rule allows',
    { image: 'registry.example/other/app:1', flakeUrl: 'path:/nowhere', packageName: 'image' },
    /no rule for namespace "[^"]+" allows image "registry\.example\/other\/app:1"/,
  ],
  [
    'a flake that no rule allows',
    { image: 'registry.example/team/app:1', flakeUrl: 'github:other/app', packageName: 'image' },
    /no rule for namespace "[^"]+" and image "registry\.example\/team\/app:1" allows flake "github:other\/app"/,
  ],
  [
    'an unlocked flake although the rule requires a lock',
    { image: 'registry.example/pinned/app:1', flakeUrl: 'github:team/app', packageName: 'image' },
    /the rule requires a locked flake, and "github:team\/app" does not pin a revision/,
  ],
])(
  "if the policy rejects %s, the pod's event names the rule, nothing is built, and the NixBuild is Failed",
  async (_, recipe, rule) => {
    const pod = { namespace: await cluster.createNamespace(), name: 'refused' }
    await applyPod(pod, recipe)
    await expect
      .poll(() => podEvents(cluster, pod), PATIENT)
      .toContainEqual({ type: 'Warning', reason: 'NixBuildRefused', message: expect.stringMatching(rule) })
    await expect
      .poll(() => describePod(pod), PATIENT_BY_PROGRAM)
      .toMatch(RegExp(`Failed to pull image.*${rule.source}`))
    const [nixBuild] = await untilNixBuilds(cluster, pod.namespace, { status: 'Failed' })
    expect(nixBuild?.status).toMatchObject({
      conditions: [
        { type: 'Complete', status: 'True' },
        { type: 'Success', status: 'False', message: expect.stringMatching(rule) },
      ],
      failed: { count: 1, nodes: [node.name] },
    })
    await expect
      .poll(() => imageBuilt(cluster, pod), PATIENT)
      .toMatchObject({ status: 'False', reason: 'Failed', message: expect.stringMatching(rule) })
    expect(await countBuilds(node.shim, recipe.image)).toBe(0)
  },
)
