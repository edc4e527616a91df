import { expect, test } from 'vitest'
import { RetryableError } from '../../../lib/errors.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import { pullImage } from '../../../shim/pull/pull-image.ts'
import { pullParts, RULE, SYSTEM } from './pull-parts.ts'

const IMAGE = 'registry.example/app:1'

/** Somebody else's image gets the name while the build runs. */
function setUp() {
  const imported = Promise.withResolvers<void>()
  const parts = pullParts({
    rules: [
      { ...RULE, namespaces: ['strict'] },
      { ...RULE, namespaces: ['generous'], replaceForeign: true },
    ],
    build: async () => ({ storePath: '/nix/store/a', runId: 'run-1' }),
    async importImage({ replaceForeign }) {
      await imported.promise
      if (!replaceForeign) throw new RetryableError('ImageNotOurs', 'it is not ours')
      return { imageId: 'sha256:made', manifestDigest: 'sha256:manifest', sentBytes: 0 }
    },
  })
  const recipe = { image: IMAGE, flake: parseFlakeUrl('github:team/app'), packageName: 'app', system: SYSTEM }
  const pull = (namespace: string) => pullImage(parts, { recipe, namespace }, { signal: new AbortController().signal })
  return { imported, pull }
}

test('a namespace that may replace an image does so even if it joins the run of a namespace that may not', async () => {
  const { imported, pull } = setUp()
  const strict = pull('strict')
  const generous = pull('generous')
  imported.resolve()
  await expect(strict).rejects.toMatchObject({ code: 'ImageNotOurs' })
  await expect(generous).resolves.toBe('sha256:made')
})
