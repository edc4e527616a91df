import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { createKube } from '../../../kube/client/client.ts'
import { parseFlakeUrl } from '../../../recipes/flake-url.ts'
import type { FlakeRecipe } from '../../../recipes/recipe.ts'
import { createClusterReporter } from '../../../shim/cluster/cluster-reporter.ts'
import { createNixBuildStore } from '../../../shim/cluster/nixbuild-store.ts'
import { IMAGE_ID } from './builds/nixbuilds.ts'

/** No API server listens there. */
const KUBECONFIG = `
apiVersion: v1
kind: Config
clusters: [{ name: a, cluster: { server: 'https://127.0.0.1:1' } }]
users: [{ name: a, user: { token: x } }]
contexts: [{ name: a, context: { cluster: a, user: a } }]
current-context: a
`

it('the reporter keeps a bounded number of writers while the API server is away, and one namespace cannot push out another', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'reporter-'))
  const kubeconfig = join(folder.path, 'kubeconfig')
  await writeFile(kubeconfig, KUBECONFIG)
  const kube = createKube({ kubeconfig })
  const reporter = createClusterReporter({
    store: createNixBuildStore({ kube: async () => kube, node: 'node-1' }),
    node: 'node-1',
    imageSize: async () => undefined,
    recordEvent: () => {},
    imagesChanged: () => {},
    onImage: () => {},
    logger: pino({ level: 'silent' }),
  })
  const recipes = Array.from({ length: 600 }, (_, index) => ({
    image: `registry.example/many/app:${index}`,
    flake: parseFlakeUrl('github:team/app'),
    packageName: 'image',
    system: 'x86_64-linux',
  }))
  const pull = async (namespace: string, recipe: FlakeRecipe) => {
    const report = reporter.waiting({ recipe, namespace, pod: { namespace, name: 'web', uid: 'web' } })
    const run = reporter.started(recipe)
    run.done({ imageId: IMAGE_ID, present: false })
    await new Promise(setImmediate)
    report.done()
  }
  const [modest] = recipes
  if (modest) await pull('modest', modest)
  for (const recipe of recipes) await pull('team', recipe)
  const kept = recipes.filter(recipe => reporter.isBusyWith('team', recipe))
  expect(kept).toEqual(recipes.slice(101))
  expect(modest && reporter.isBusyWith('modest', modest)).toBe(true)
  const begin = performance.now()
  await reporter.close(300)
  expect(performance.now() - begin).toBeLessThan(2000)
  await kube.close()
})
