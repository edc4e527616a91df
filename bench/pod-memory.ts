/** Memory of the controller for each Pod that it watches. Run it with `node --expose-gc bench/pod-memory.ts`. */
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { createClusterState } from '../controller/state/cluster-state.ts'
import type { Kube } from '../kube/client/contract.ts'
import { annotationName } from '../recipes/annotations.ts'
import { range } from './fixtures/crowd.ts'

const PODS = 50_000
const PODS_PER_NODE = 30
const PODS_PER_RECIPE = 10
const CREATED = '2026-01-01T00:00:00Z'

const stop = new AbortController()
const kept: unknown[] = []
for (const kind of ['annotated', 'plain'] as const) {
  const before = usedBytes()
  const state = createClusterState({
    ...{ kube: clusterOf(kind), signal: stop.signal, logger: pino({ enabled: false }) },
    repels: () => false,
    tolerations: [],
  })
  await state.synced()
  kept.push(state)
  const bytes = (usedBytes() - before) / PODS
  console.log(`${kind}: ${Math.round(bytes)} bytes for each Pod, ${PODS_PER_RECIPE} Pods for each image`)
}
stop.abort()

function usedBytes(): number {
  for (let time = 0; time < 3; time += 1) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** A cluster with nothing but running Pods. */
function clusterOf(kind: 'annotated' | 'plain'): Kube {
  const unused = async () => {
    throw new Error('the state only watches')
  }
  return {
    ...{ get: unused, list: unused, create: unused, patch: unused, replace: unused, delete: unused, close: unused },
    async *watch({ plural }, { signal }) {
      if (plural === 'pods') {
        for (const n of range(PODS)) {
          if (n % 1_000 === 0) await delay(0)
          yield { type: 'ADDED', object: JSON.parse(JSON.stringify(podOf(n, kind))) }
        }
      }
      yield { type: 'BOOKMARK', resourceVersion: '1', endsInitial: true }
      await delay(1e9, undefined, { signal }).catch(() => {})
    },
  }
}

function podOf(n: number, kind: 'annotated' | 'plain') {
  const recipe = Math.floor(n / PODS_PER_RECIPE)
  const image = `registry.example/team/app-${recipe}:1`
  const annotations = {
    [annotationName('imageTag')]: image,
    [annotationName('flakeUrl')]: `github:team/app-${recipe}`,
    [annotationName('packageName')]: 'image',
  }
  const condition = {
    type: 'enbi.hrzn.ee/ImageBuilt',
    status: 'True',
    reason: 'Built',
    message: `${image}: image loaded`,
  }
  const uid = `00000000-0000-0000-0000-${String(n).padStart(12, '0')}`
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `app-${recipe}-5d9c7b8f6d`, uid, controller: true }
  return {
    metadata: {
      ...{ namespace: `team-${recipe % 50}`, name: `app-${recipe}-5d9c7b8f6d-${n}`, uid, resourceVersion: String(n) },
      ...{ creationTimestamp: CREATED, ownerReferences: [owner] },
      annotations: kind === 'annotated' ? annotations : {},
    },
    spec: { nodeName: `node-${Math.floor(n / PODS_PER_NODE)}`, containers: [{ name: 'app', image }] },
    status: {
      phase: 'Running',
      conditions: kind === 'annotated' ? [{ ...condition, lastTransitionTime: CREATED }] : [],
      containerStatuses: [{ name: 'app', image, imageID: `sha256:${recipe}`, state: { running: {} } }],
    },
  }
}
