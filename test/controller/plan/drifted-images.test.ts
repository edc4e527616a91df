import { describe, expect, it } from 'vitest'
import { describeDriftedImages } from '../../../controller/plan/drifted-images.ts'
import { somePod } from '../views.ts'

const podOf = (image: string, status?: object) =>
  somePod({ spec: { containers: [{ name: 'app', image }] }, ...(status && { status }) })

describe('a pod whose annotation names app:1', () => {
  it.each(['mirror.example/team/app:1', 'app:2'])('may have meant its image %s', image => {
    expect(describeDriftedImages(podOf(image))).toEqual([expect.stringContaining(`the nearest is "${image}"`)])
  })

  it.each(['app:1', 'proxy:1', 'Not An Image'])('did not mean its image %s, or needs no hint', image => {
    expect(describeDriftedImages(podOf(image))).toEqual([])
  })

  it('needs no hint about an image that its container runs', () => {
    const containerStatuses = [{ name: 'app', image: 'docker.io/library/app:2', imageID: 'sha256:1' }]
    expect(describeDriftedImages(podOf('app:2', { containerStatuses }))).toEqual([])
  })
})
