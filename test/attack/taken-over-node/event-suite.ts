import { describe, expect, test } from 'vitest'
import { type EventContent, eventBody, eventName, events } from '../../../kube/resources/event.ts'
import { refusal, type TakenOverNode } from './taken-over-node.ts'

const MERGE = { type: 'merge', fieldManager: 'enbi-shim' } as const
const TIME = '2026-01-02T03:04:05Z'
let told = 0

/** Attempts to write Events with the token of node a. */
export function eventSuite({ deployed, shim }: TakenOverNode): void {
  const tell = ({ name, body }: Told) => shim().kube.create(events, { namespace: 'default', name, body })

  describe('the shim of a may', () => {
    test('create an Event about a pod, and count its repetitions', async () => {
      const { name, body } = event()
      await tell({ name, body })
      const again = { namespace: 'default', name, body: { count: 2, lastTimestamp: '2026-01-02T03:05:05Z' } }
      expect(await shim().kube.patch(events, again, MERGE)).toMatchObject({ count: 2 })
    })

    test('create an Event with the longest pod name and the longest texts', async () => {
      await tell(event({}, { name: `${'p'.repeat(236)}.${'q'.repeat(16)}`, message: '€'.repeat(2000) }))
    })
  })

  describe('the shim of a may not', () => {
    test.each<[string, object, string]>([
      [
        'create an Event in the name of another node',
        { source: { component: 'enbi-shim', host: 'b' } },
        'its own node',
      ],
      ['create an Event that another node reports', { reportingInstance: 'b' }, 'its own node'],
      ['create an Event in the name of the kubelet', { source: { component: 'kubelet', host: 'a' } }, 'from enbi-shim'],
      ['create an Event that the scheduler reports', { reportingComponent: 'default-scheduler' }, 'from enbi-shim'],
      [
        'create an Event about a Node',
        { involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'b', namespace: 'default' } },
        'Pod',
      ],
      ["create an Event with another component's reason, such as an eviction", { reason: 'Evicted' }, 'reason'],
      ['fill the API server with a long message', { message: 'x'.repeat(100_000) }, '1024'],
      ['fill the API server with an action', { action: 'x'.repeat(100_000) }, 'fields'],
      ['fill the API server with a related object', { related: { kind: 'Pod', name: 'x'.repeat(100_000) } }, 'fields'],
      ['fill the API server with annotations', { metadata: { annotations: { big: 'x'.repeat(100_000) } } }, 'metadata'],
      ['make an Event that cannot be deleted', { metadata: { finalizers: ['example.org/forever'] } }, 'metadata'],
    ])('%s', async (_, change, problem) => {
      await expect(tell(event(change))).rejects.toThrow(refusal(problem))
    })

    test('take the names of Events that others create', async () => {
      const { body } = event()
      for (const name of ['pod.17a', 'other.0123456789abcdef', 'anything'])
        await expect(tell({ name, body })).rejects.toThrow(refusal('name'))
    })

    test("change others' Events, or more than the count of its own", async () => {
      const mine = event()
      await tell(mine)
      const change = (name: string, body: object) =>
        shim().kube.patch(events, { namespace: 'default', name, body }, MERGE)
      for (const body of [
        { message: 'other' },
        { reason: 'NixBuildFailed' },
        { type: 'Warning' },
        { metadata: { annotations: { a: 'b' } } },
        { source: { host: 'b' } },
      ])
        await expect(change(mine.name, body)).rejects.toThrow(refusal(''))
      const { name, body } = event({ source: { component: 'kubelet', host: 'a' }, reportingComponent: 'kubelet' })
      await deployed().kube.create(events, { namespace: 'default', name, body })
      await expect(change(name, { count: 2 })).rejects.toThrow(refusal('its own Events'))
      const ofB = event({ source: { component: 'enbi-shim', host: 'b' }, reportingInstance: 'b' })
      await deployed().kube.create(events, { namespace: 'default', ...ofB })
      await expect(change(ofB.name, { count: 2 })).rejects.toThrow(refusal('its own Events'))
    })
  })
}

interface Told {
  readonly name: string
  readonly body: object
}

/** An Event of the shim of a, with the change. */
function event(change: object = {}, { name = 'pod', message = 'Building' } = {}): Told {
  told += 1
  const about = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name, uid: `uid-${told}` }
  const content: EventContent = { about, type: 'Normal', reason: 'NixBuildStarted', message }
  const body = eventBody(content, { component: 'enbi-shim', host: 'a', time: TIME })
  return { name: eventName(content).name, body: { ...body, ...change } }
}
