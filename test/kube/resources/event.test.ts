import { expect, test } from 'vitest'
import { type EventContent, eventBody, eventName } from '../../../kube/resources/event.ts'

const CONTENT: EventContent = {
  about: { apiVersion: 'v1', kind: 'Pod', namespace: 'team', name: 'web-1', uid: 'u1' },
  type: 'Normal',
  reason: 'Built',
  message: 'it is there',
}
const WHERE = { component: 'test', host: 'node-1', time: '2026-01-01T00:00:00Z' }

test('equal events have equal names, and different ones differ', () => {
  const names = [
    CONTENT,
    { ...CONTENT, message: 'another' },
    { ...CONTENT, reason: 'Other' },
    { ...CONTENT, about: { ...CONTENT.about, uid: 'u2' } },
  ].map(content => eventName(content).name)
  expect(new Set(names).size).toBe(4)
  expect(eventName({ ...CONTENT }).name).toBe(names[0])
  expect(names[0]).toMatch(/^web-1\.[0-9a-f]{16}$/)
})

test.each([['x'.repeat(253)], [`${'x'.repeat(235)}.${'y'.repeat(17)}`]])(
  'an event about %s has a name within the limit',
  name => {
    expect(eventName({ ...CONTENT, about: { ...CONTENT.about, name } }).name).toMatch(/^(?=.{1,253}$)x+\.[0-9a-f]{16}$/)
  },
)

test('an event about a cluster-scoped object is in the namespace default', () => {
  const { namespace: _, ...about } = CONTENT.about
  expect(eventName({ ...CONTENT, about }).namespace).toBe('default')
})

test('a long message keeps its beginning and its end', () => {
  const message = `it failed: ${'x'.repeat(5000)} because of y`
  expect(eventBody({ ...CONTENT, message }, WHERE)).toMatchObject({
    message: expect.stringMatching(/^it failed: x+\n…\nx+ because of y$/),
  })
})
