import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { NixBuild } from '../../kube/resources/nixbuild.ts'
import { copyExample } from '../node/example.ts'
import { PATIENCE, PATIENT } from '../patience.ts'
import { listNixBuilds, nixBuildManifest, untilNixBuilds } from '../shim/cluster/shim-with-cluster.ts'
import { imageBuilt } from './image-built.ts'
import type { ClusterNode } from './node.ts'
import { type PodName, podEvents, podManifest, waitForPhase } from './pods.ts'
import { useWholeCluster } from './use-cluster.ts'
import type { WholeCluster } from './whole-cluster.ts'

/** Runs until the container is stopped. */
const WAIT = ['tail', '-f', '/dev/null']

let cluster: WholeCluster
let node: ClusterNode
let packages: string

beforeAll(async () => {
  cluster = await useWholeCluster()
  packages = await copyPackages()
  const names = [{ images: 'nix.local/pkgs/{contents}', packages }]
  const contents = ['shell', 'curl', 'jq', 'htop', 'strace']
  const policy = [
    {
      namespaces: ['*'],
      images: ['nix.local/pkgs/**', 'registry.example/**'],
      flakes: [`packages:${packages}`],
      contents,
    },
    { namespaces: ['*'], images: ['nix:0/nix/store/*'] },
  ]
  node = await cluster.addNode({ shim: { config: { names, policy } } })
})
afterAll(async () => cluster?.[Symbol.asyncDispose]())

test('a pod whose image is named after its store path runs without annotations', async () => {
  const { url } = await copyExample('formats', node.bed.dir)
  const { stdout } = await node.bed.run('nix', ['build', '--no-link', '--json', `${url}#docker-archive`])
  const pod = { namespace: await cluster.createNamespace(), name: 'named' }
  await cluster.apply(podManifest({ ...pod, node: node.name, image: `nix:0${JSON.parse(stdout)[0].outputs.out}` }))
  await waitForPhase(cluster, pod, 'Succeeded')
  expect((await podEvents(cluster, pod)).map(({ reason }) => reason)).not.toContain('Failed')
})

const JQ_IS_MADE = 'jq is made'

/** A copy of the example's package set whose jq logs each of its builds. */
async function copyPackages(): Promise<string> {
  const { dir, url } = await copyExample('packages', cluster.access.dir)
  const file = join(dir, 'flake.nix')
  const flake = await readFile(file, 'utf8')
  await writeFile(
    file,
    flake.replace(/^ *jq = package .*$/m, line => `${line}\n echo '${JQ_IS_MADE}'`),
  )
  return url
}

type More = Partial<Parameters<typeof podManifest>[0]>

/** A pod without annotations. */
function plainPod(pod: PodName, image: string, more: More = {}): object {
  return podManifest({ ...pod, node: node.name, image, command: WAIT, ...more })
}

async function reasonsOf(pod: PodName): Promise<string[]> {
  return (await podEvents(cluster, pod)).map(({ reason }) => reason).toSorted()
}

async function waitForBuilt(pod: PodName): Promise<void> {
  await expect.poll(() => imageBuilt(cluster, pod), PATIENT).toMatchObject({ status: 'True', reason: 'Built' })
}

test('a pod that only names an image runs on its first pull, and `kubectl debug` adds a second image to it', async () => {
  const pod = { namespace: await cluster.createNamespace(), name: 'plain' }
  await cluster.apply(plainPod(pod, 'nix.local/pkgs/shell/curl'))
  await waitForPhase(cluster, pod, 'Running')
  await expect
    .poll(() => reasonsOf(pod), PATIENT)
    .toEqual(['Created', 'NixBuildStarted', 'NixBuildSucceeded', 'Pulled', 'Pulling', 'Scheduled', 'Started'])
  await waitForBuilt(pod)
  const [build] = await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded', buildNode: node.name })
  expect(build).toMatchObject({
    metadata: { labels: { 'app.kubernetes.io/managed-by': 'enbi-shim' } },
    spec: {
      contents: ['bashInteractive', 'coreutils', 'curl', 'moreutils', 'nano'],
      imageTag: 'nix.local/pkgs/shell/curl:latest',
    },
  })

  const inNamespace = `--namespace=${pod.namespace}`
  const image = '--image=nix.local/pkgs/shell/strace'
  await cluster.kubectl(['debug', pod.name, inNamespace, image, '--container=debugger', '--', 'strace', ...WAIT])
  const running = '--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}'
  await cluster.kubectl(['wait', `pod/${pod.name}`, inNamespace, running, `--timeout=${PATIENCE}`])
  await waitForBuilt(pod)
  const builds = await listNixBuilds(cluster, pod.namespace)
  expect(builds.map(({ spec }) => spec.imageTag)).toContain('nix.local/pkgs/shell/strace:latest')
})

test('two names with the same packages in another order share one build and one image id under every pull policy', async () => {
  const namespace = await cluster.createNamespace()
  const podIn = (name: string) => ({ namespace, name })
  const image = 'nix.local/pkgs/shell/htop/jq'
  const [one, other] = [podIn('one'), podIn('other')]
  await cluster.apply(
    plainPod(one, image, { imagePullPolicy: 'IfNotPresent' }),
    plainPod(other, 'nix.local/pkgs/shell/jq/htop', { imagePullPolicy: 'Always' }),
  )
  await Promise.all([one, other].map(pod => waitForPhase(cluster, pod, 'Running')))
  await expect.poll(() => phases(namespace), PATIENT).toEqual(['Succeeded', 'Succeeded'])
  const builds = await listNixBuilds(cluster, namespace)
  const made = builds.map(({ status: { storePath, imageDigest } }) => ({ storePath, imageDigest }))
  const digest = expect.stringMatching('^sha256:')
  expect(made[0]).toEqual({ storePath: expect.stringMatching('^/nix/store/'), imageDigest: digest })
  expect(made[1]).toEqual(made[0])
  expect((await Promise.all(builds.map(jqBuilds))).flat()).toHaveLength(1)

  const [there, missing] = [podIn('there'), podIn('missing')]
  await cluster.apply(
    plainPod(there, image, { imagePullPolicy: 'Never' }),
    plainPod(missing, 'nix.local/pkgs/strace', { imagePullPolicy: 'Never' }),
  )
  await waitForPhase(cluster, there, 'Running')
  await expect.poll(() => reasonsOf(missing), PATIENT).toContain('ErrImageNeverPull')
  expect(await phases(namespace)).toEqual(['Succeeded', 'Succeeded'])
})

async function phases(namespace: string): Promise<unknown[]> {
  return (await listNixBuilds(cluster, namespace)).map(({ status }) => status.status)
}

/** Lines of a run's log that report a build of jq. */
async function jqBuilds({ status: { buildJobName } }: NixBuild): Promise<string[]> {
  const log = await readFile(join(node.shim.stateDir, 'logs', `${buildJobName}.log`), 'utf8')
  return log.split('\n').filter(line => line.includes(JQ_IS_MADE))
}

test('the error of a pod whose packages the policy does not allow names the image, the package set and the packages', async () => {
  const pod = { namespace: await cluster.createNamespace(), name: 'refused' }
  const image = 'nix.local/pkgs/shell/vim'
  await cluster.apply(plainPod(pod, image))
  await expect.poll(() => reasonsOf(pod), PATIENT).toContain('NixBuildRefused')
  const events = await podEvents(cluster, pod)
  const { message } = events.find(({ reason }) => reason === 'NixBuildRefused') ?? {}
  for (const words of [image, packages, 'vim']) expect(message).toContain(words)
  expect(await listNixBuilds(cluster, pod.namespace)).toEqual([])
})

test('a NixBuild that a user created from contents is built, and is the recipe of a pod without annotations', async () => {
  const pod = { namespace: await cluster.createNamespace(), name: 'by-hand' }
  const imageTag = 'registry.example/named/tools:1'
  const spec = { flakeUrl: packages, imageTag, contents: ['shell', 'jq'] }
  const others = `--selector=kubernetes.io/hostname!=${node.name}`
  await cluster.kubectl(['cordon', others])
  onTestFinished(async () => {
    await cluster.kubectl(['uncordon', others])
  })
  await cluster.apply(nixBuildManifest(pod.namespace, 'tools', spec))
  await untilNixBuilds(cluster, pod.namespace, { status: 'Succeeded', buildNode: node.name })
  await cluster.apply(plainPod(pod, imageTag, { imagePullPolicy: 'Always' }))
  await waitForPhase(cluster, pod, 'Running')
  await waitForBuilt(pod)
  expect(await listNixBuilds(cluster, pod.namespace)).toHaveLength(1)
  const printed = await cluster.kubectl(['get', 'nb', '-o', 'wide', `--namespace=${pod.namespace}`])
  expect(printed).toContain('["shell","jq"]')
})
