import { describe, expect, it } from 'vitest'
import { somePod } from '../views.ts'

describe('an image of a pod has started', () => {
  const started = (image: string, status: object) =>
    somePod({
      spec: { containers: [{ name: 'app', image }] },
      status: { containerStatuses: [{ name: 'app', imageID: 'sha256:1', ...status }] },
    }).startedImages

  it.each([
    ['if its container has been created from it', 'app:1', 'docker.io/library/app:1', true],
    ['if the status names it in another way', 'docker.io/library/app', 'app:latest', true],
    ['but not if its container was created from the image before it', 'app:2', 'docker.io/library/app:1', false],
    ['if the runtime knows it only by its id', 'app:1', 'sha256:1', true],
    ['if it is named by a digest, which the runtime may know by a tag', `app@sha256:${'0'.repeat(64)}`, 'app:1', true],
    ['if the status does not say from which', 'app:1', '', true],
  ])('%s', (_, image, created, isStarted) => {
    expect(started(image, { image: created })).toEqual(isStarted ? [image] : [])
  })

  it('but not before its container has been created', () => {
    expect(started('app:1', { image: 'app:1', imageID: '' })).toEqual([])
  })
})

it('a pod that stands for a static one has the UID by which its node knows that', () => {
  const annotations = { 'kubernetes.io/config.mirror': 'static-1' }
  expect(somePod({ metadata: { annotations } }).staticUid).toBe('static-1')
})
