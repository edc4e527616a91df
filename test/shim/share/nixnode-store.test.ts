import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { nixNodes } from '../../../kube/resources/nixnode.ts'
import { createNodeBuilds } from '../../../shim/cluster/builds/node-builds.ts'
import { createNixNodeWriter } from '../../../shim/cluster/nixnode/nixnode-writer.ts'
import { createOwnStore } from '../../../shim/share/own-store.ts'
import { useCluster } from '../../cluster/use-cluster.ts'

const logger = pino({ level: 'silent' })

test('the NixNode says how this node serves its store, until its shim no longer shares', async () => {
  await using cluster = await useCluster()
  const kube = cluster.client()
  const node = `node-${randomBytes(6).toString('hex')}`
  const address = 'http://10.0.0.5:5000'
  const stores = [
    createOwnStore({ address, maxServed: 4, fetchOnly: false, logger }),
    createOwnStore({ maxServed: 2, fetchOnly: true, logger }),
    undefined,
  ]
  const written: unknown[] = []
  for (const store of stores) {
    const stop = new AbortController()
    const builds = createNodeBuilds({ node, now: Date.now, onPresent: () => {} })
    const writer = createNixNodeWriter({ kube, node, facts: {}, store, builds, signal: stop.signal, logger })
    await writer.begun
    written.push((await kube.get(nixNodes, { name: node }))?.status.store)
    await writer.close(60_000)
    stop.abort()
  }
  expect(written).toEqual([{ address, maxServed: 4 }, { maxServed: 2, fetchOnly: true }, undefined])
})
