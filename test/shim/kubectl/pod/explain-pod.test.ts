import { describe, expect, it } from 'vitest'
import { nixBuilds } from '../../../../kube/resources/nixbuild.ts'
import { pods } from '../../../../kube/resources/pod.ts'
import { explainPod, type PodFacts } from '../../../../shim/kubectl/pod/explain-pod.ts'

const IMAGE = 'registry.example/team/app:1'
const NOW = new Date('2026-01-01T00:10:00Z')
const metadata = { uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z', namespace: 'team' }
const ANNOTATIONS = {
  'enbi.hrzn.ee/nixbuild-flakeUrl': 'github:team/app',
  'enbi.hrzn.ee/nixbuild-imageTag': IMAGE,
  'enbi.hrzn.ee/nixbuild-packageName': 'app',
}

interface PodParts {
  readonly meta?: object
  readonly node?: string | null
  readonly status?: object
}

function pod({ meta, node = 'node-1', status = {} }: PodParts = {}) {
  const spec = { ...(node && { nodeName: node }), containers: [{ name: 'app', image: IMAGE }] }
  return pods.parse({ metadata: { ...metadata, name: 'web', annotations: ANNOTATIONS, ...meta }, spec, status })
}

function build(status: object, spec: object = {}) {
  const recipe = { flakeUrl: 'github:team/app', imageTag: IMAGE, packageName: 'app', system: 'x86_64-linux' }
  return nixBuilds.parse({ metadata: { ...metadata, name: 'app-1' }, spec: { ...recipe, ...spec }, status })
}

const complete = (reason: string, message: string) => ({
  conditions: [{ type: 'Complete', status: 'False', reason, message }],
})
const built = (reason: string, message: string) => ({
  conditions: [{ type: 'enbi.hrzn.ee/ImageBuilt', status: 'False', reason, message }],
})
const waiting = (reason: string, message = '') => ({
  containerStatuses: [{ name: 'app', state: { waiting: { reason, message } } }],
})

const explain = (facts: Partial<PodFacts>) =>
  explainPod({ pod: pod(), builds: [], others: [], onNode: undefined, events: [], now: NOW, ...facts })

describe('what a pod waits for, and the way out', () => {
  it.each<[what: string, facts: Partial<PodFacts>, ...parts: string[]]>([
    [
      'a node',
      {
        pod: pod({
          node: null,
          status: { conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available.' }] },
        }),
      },
      'pod/web waits for a node: 0/3 nodes are available. Builds begin',
    ],
    ['nothing, because it has ended', { pod: pod({ status: { phase: 'Succeeded' } }) }, 'has ended (Succeeded)'],
    ['its end', { pod: pod({ meta: { deletionTimestamp: '2026-01-01T00:01:00Z' } }) }, 'is being deleted', 'cancelled'],
    [
      'a running build',
      {
        builds: [
          build({
            status: 'Building',
            buildNode: 'node-1',
            startTime: '2026-01-01T00:06:30Z',
            progress: 'building 3 of 7, hello',
          }),
        ],
      },
      `waits for its image: ${IMAGE} is being built on node-1 (building 3 of 7, hello, for 3 min 30 s).`,
      'kubectl nixbuild logs -f pod/web',
    ],
    [
      'a running build, as the condition of the pod and its own node say',
      {
        pod: pod({ status: built('Building', `${IMAGE}: being built on node-1 from github:team/app#app`) }),
        builds: [build({ status: 'Building', progress: 'building 1 of 7' })],
        onNode: 'building 6 of 7',
      },
      'being built on node-1 from github:team/app#app (building 6 of 7).',
    ],
    [
      'a fix of the flake',
      {
        pod: pod({ status: built('Failed', `${IMAGE}: builder failed:\n  line 1\n  line 2`) }),
        builds: [build({ status: 'Failed' })],
      },
      'cannot start: registry.example/team/app:1: builder failed: | line 1 | line 2.',
      'delete the NixBuild app-1',
    ],
    [
      'a fix of its annotations',
      { pod: pod({ status: built('Failed', 'half a recipe') }) },
      'cannot start: half a recipe. Correct the annotations',
    ],
    [
      'a fix of the flake, although no controller writes conditions of pods',
      {
        builds: [
          build({
            status: 'Failed',
            buildNode: 'node-2',
            conditions: [{ type: 'Success', status: 'False', message: 'no such package' }],
          }),
        ],
      },
      'failed on node-2: no such package.',
    ],
    [
      'a node that can build',
      { builds: [build({ status: 'Pending', ...complete('NoNode', 'no node can build it: 3 are too busy') })] },
      'no node can build it: 3 are too busy. Give the cluster a node with a shim that fits x86_64-linux',
    ],
    [
      'its turn',
      { builds: [build({ status: 'Pending', ...complete('Queued', 'queued on node-1') })] },
      'queued on node-1. The node builds it when others have ended',
    ],
    ['a controller', { builds: [build({})] }, 'the build has not started. If this stays so, check that the controller'],
    [
      'a controller, or a node that sees the annotations',
      {},
      'no NixBuild is for it',
      'check that the controller runs',
    ],
    [
      'its kubelet',
      {
        pod: pod({ status: { ...built('Built', 'image loaded'), ...waiting('ContainerCreating') } }),
        builds: [build({ status: 'Succeeded' })],
      },
      'has its images on node-1. What it waits for is not an image',
    ],
    [
      'a registry',
      { pod: pod({ meta: { annotations: {} }, status: waiting('ImagePullBackOff', 'not found') }) },
      'container app: ImagePullBackOff: not found. No annotation and no NixBuild makes this image',
    ],
    [
      'another node, as its NixBuilds are for another system',
      {
        pod: pod({ meta: { annotations: {} }, status: waiting('ImagePullBackOff', 'not found') }),
        others: [build({}, { system: 'aarch64-linux' })],
      },
      'node-1 has another system than the NixBuilds of its images, app-1 for aarch64-linux: run the pod',
    ],
    [
      'another node, though its annotations have a recipe',
      { others: [build({}, { system: 'aarch64-linux' })] },
      'no NixBuild is for it. node-1 has another system than the NixBuilds of its images, app-1 for aarch64-linux',
    ],
    [
      'one of several builds, of which nobody says the system',
      {
        builds: [build({ status: 'Building', progress: 'building 1 of 7' })],
        doubt: { text: 'nobody knows', isEarly: false },
      },
      'is being built (building 1 of 7).',
      'This may be about another system: nobody knows.',
    ],
    [
      'no image, because it crashes',
      {
        pod: pod({ status: waiting('CrashLoopBackOff', 'back-off') }),
        builds: [build({ status: 'Succeeded' })],
      },
      'container app: CrashLoopBackOff: back-off.',
      'kubectl describe pod',
    ],
    [
      'nothing, because it runs',
      { pod: pod({ status: { phase: 'Running' } }), builds: [build({ status: 'Succeeded' })] },
      'runs.',
    ],
  ])('is %s', (_, facts, ...parts) => {
    const text = explain(facts)
    for (const part of parts) expect(text).toContain(part)
    expect(text).not.toContain('\n')
    expect(text).toMatch(/^pod\/web .*[.]$/)
  })
})
