import { describe, expect, it } from 'vitest'
import { describeDrifted, findDrifted } from '../../../recipes/names/drifted-annotations.ts'

const PREFIX = 'enbi.hrzn.ee/nixbuild-imageTag'
const APP = 'registry.example/team/app:1'

describe('an annotation that names no image of its pod', () => {
  it.each<[string, string, string[], string | undefined]>([
    [
      'after kustomize has changed the tag',
      APP,
      ['registry.example/team/app:2', 'busybox'],
      'registry.example/team/app:2',
    ],
    [
      'after kustomize has set a digest',
      APP,
      ['registry.example/team/db:1', `registry.example/team/app@sha256:${'a'.repeat(64)}`],
      `registry.example/team/app@sha256:${'a'.repeat(64)}`,
    ],
    [
      'after a mirror has changed the host',
      APP,
      ['registry.example/team/api:1', 'mirror.example/proxy/team/app:1'],
      'mirror.example/proxy/team/app:1',
    ],
    ['by a typing error', APP, ['redis', 'registry.example/team/apq:1'], 'registry.example/team/apq:1'],
    ['without any other image', APP, [], undefined],
    ['next to an image that containerd may understand', APP, ['NOT//valid'], 'NOT//valid'],
  ])('is found %s, with the nearest image', (_, named, images, nearest) => {
    expect(findDrifted({ [PREFIX]: named }, images)).toEqual([{ annotation: PREFIX, image: named, nearest }])
  })

  it('is not near an image that another annotation names', () => {
    const annotations = { [`${PREFIX}.old`]: APP, [`${PREFIX}.new`]: 'registry.example/team/app:2' }
    expect(findDrifted(annotations, ['registry.example/team/app:2'])).toEqual([
      { annotation: `${PREFIX}.old`, image: APP, nearest: undefined },
    ])
  })

  it.each([
    ['is one of the pod, written in another way', { [PREFIX]: 'app' }, ['docker.io/library/app:latest']],
    ['cannot be read', { [PREFIX]: 'NOT//valid' }, ['app']],
    ['is not of the shim', { 'example.com/image': APP }, ['app']],
  ])('is not found if it %s', (_, annotations, images) => {
    expect(findDrifted(annotations, images)).toEqual([])
  })

  it('is one of at most eight', () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 64 }, (_, index) => [`${PREFIX}.${index}`, `app:${index}`]),
    )
    expect(findDrifted(annotations, ['other'])).toHaveLength(8)
  })

  it.each([
    ['registry.example/team/app:2', '; the nearest is "registry.example/team/app:2"'],
    [undefined, ''],
  ])('is described with its nearest image, if there is one: %s', (nearest, words) => {
    expect(describeDrifted({ annotation: PREFIX, image: APP, nearest })).toBe(
      `the annotation "${PREFIX}" names "${APP}", which is no image of the pod${words}: use the same name in both, or remove the annotation`,
    )
  })
})
