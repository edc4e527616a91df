import { expect, test } from 'vitest'
import type { WatchEvent } from '../../../kube/client/contract.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { PATIENT } from '../../patience.ts'
import { configMaps, OURS, onlyOurs } from '../config-maps.ts'
import { startApiServer } from '../own-api-server.ts'

const namespace = 'default'

test.each([
  ['streams them', {}, 0],
  ['lists them, if the API server cannot stream', { 'feature-gates': 'WatchList=false' }, 1],
])('a watch without a version begins with all objects, and %s', async (_, flags, lists) => {
  const { cluster, kube, end } = await startApiServer(flags)
  try {
    const make = (name: string, data = {}) =>
      kube.create(configMaps, { namespace, name, body: { metadata: OURS, data } })
    await make('first')
    await make('second')
    await make('too-large', { a: 'x'.repeat(12_000) })
    await kube.create(configMaps, { namespace, name: 'not-ours', body: {} })
    // The API server's cache, which answers, may be a moment behind.
    const cached = async () =>
      JSON.stringify(await cluster.read(`/api/v1/namespaces/${namespace}/configmaps?resourceVersion=0`))
    await expect.poll(cached, PATIENT).toContain('"not-ours"')
    const before = await countLists(cluster)

    const watching = new AbortController()
    const problems: string[] = []
    const events = kube.watch(configMaps, {
      ...{ namespace, ...onlyOurs, maxObject: 10_000, signal: watching.signal },
      onTooLarge: problem => problems.push(problem),
    })
    const seen: string[] = []
    for await (const event of events) {
      if (event.type === 'BOOKMARK' && !event.endsInitial) continue
      seen.push(describeEvent(event))
      if (event.type === 'BOOKMARK') await make('later')
      if (seen.includes('ADDED later')) watching.abort()
    }
    expect(seen.slice(0, 2).sort()).toEqual(['ADDED first', 'ADDED second'])
    expect(seen.slice(2)).toEqual(['all', 'ADDED later'])
    expect(problems).toEqual([expect.stringContaining('is larger than 10000 bytes')])
    expect(Math.min(1, (await countLists(cluster)) - before)).toBe(lists)
  } finally {
    await end()
  }
})

function describeEvent(event: WatchEvent): string {
  return event.type === 'BOOKMARK' ? 'all' : `${event.type} ${configMaps.parse(event.object).metadata.name}`
}

/** The lists of ConfigMaps that the API server has answered to clients. */
async function countLists(cluster: Cluster): Promise<number> {
  const metrics = await cluster.kubectl(['get', '--raw', '/metrics'])
  const lines = metrics.matchAll(/^apiserver_request_total\{(.*resource="configmaps".*verb="LIST".*)\} (\d+)$/gm)
  return [...lines].reduce((sum, [, , count]) => sum + Number(count), 0)
}
