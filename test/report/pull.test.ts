import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cluster } from '../cluster/cluster.ts'
import { useCluster } from '../cluster/use-cluster.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { addGate, copyExample, type Example, lockExample } from '../node/example.ts'
import { listEvents, listNixBuilds, podPull, startTellingShim, type TellingShim } from './telling-shim.ts'

const LIMIT = { timeout: 20_000 }

let bed: Bed
let cluster: Cluster
let formats: Example
let telling: TellingShim

beforeAll(async () => {
  ;[bed, cluster] = await Promise.all([startBed(), useCluster()])
  formats = await copyExample('formats', bed.dir)
  await writeFile(await addGate(formats), '')
  formats = await lockExample(formats, bed.run)
  telling = await startTellingShim(cluster, bed)
})
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

describe('a pull of a recipe', () => {
  it('makes a NixBuild and fills in its status', async () => {
    const namespace = await cluster.createNamespace()
    const recipe = { image: 'registry.example/told/app:1', flakeUrl: formats.url, packageName: 'docker-archive' }
    const imageId = await telling.kubelet.pullImage(podPull(namespace, recipe))
    await expect
      .poll(() => listNixBuilds(cluster, namespace), LIMIT)
      .toMatchObject([{ status: { status: 'Succeeded' } }])
    const [nixBuild] = await listNixBuilds(cluster, namespace)
    console.log(JSON.stringify(nixBuild, undefined, 2), imageId)
    console.log(await listEvents(cluster, namespace))
    console.log(await telling.shim.daemon.logTail(50))
  })
})
