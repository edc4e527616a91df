import { expect, it } from 'vitest'
import { ANNOTATIONS, somePod } from '../../controller/views.ts'

const LARGE = 200_000

it.each([
  ['image name', { spec: { containers: [container('x'.repeat(LARGE))] } }],
  [
    'many image names',
    { spec: { containers: Array.from({ length: 10_000 }, (_, index) => container(`app:${index}`)) } },
  ],
  [
    'annotations',
    { metadata: { annotations: { ...ANNOTATIONS, 'enbi.hrzn.ee/nixbuild-flakeUrl.x': 'x'.repeat(LARGE) } } },
  ],
])('a Pod that is large by its %s takes little memory of the controller', (_, pod) => {
  expect(JSON.stringify(somePod(pod)).length).toBeLessThan(40_000)
})

function container(image: string) {
  return { name: 'app', image }
}
