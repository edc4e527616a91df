import { expect, it } from 'vitest'
import { ANNOTATIONS, somePod } from '../../controller/views.ts'

const LARGE = 200_000

it.each([
  ['a name of an image', { spec: { containers: [container('x'.repeat(LARGE))] } }],
  [
    'many names of images',
    { spec: { containers: Array.from({ length: 10_000 }, (_, index) => container(`app:${index}`)) } },
  ],
  [
    'annotations',
    { metadata: { annotations: { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-flakeUrl.x': 'x'.repeat(LARGE) } } },
  ],
])('a Pod that is large by %s takes little of the memory of the controller', (_, pod) => {
  expect(JSON.stringify(somePod(pod)).length).toBeLessThan(40_000)
})

function container(image: string) {
  return { name: 'app', image }
}
