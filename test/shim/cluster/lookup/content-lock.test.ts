import { copyFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nixBuildName } from '../../../../kube/resources/names.ts'
import { recipeFinder } from '../../../../recipes/find-recipe.ts'
import { type GitRepository, makeRepository } from '../../../attack/git-repository.ts'
import type { Cluster } from '../../../cluster/cluster.ts'
import { useCluster } from '../../../cluster/use-cluster.ts'
import { type Bed, startBed } from '../../../node/bed.ts'
import { copyExample } from '../../../node/example.ts'
import { recipeAnnotations } from '../../../node/recipe-pull.ts'
import { type ConnectedShim, nixBuildManifest, podPull, startConnectedShim } from '../shim-with-cluster.ts'

let bed: Bed
let cluster: Cluster
let connected: ConnectedShim
let app: GitRepository

beforeAll(async () => {
  const [startedBed, startedCluster] = await Promise.all([startBed(), useCluster()])
  bed = startedBed
  cluster = startedCluster
  const formats = await copyExample('formats', bed.dir)
  app = await makeRepository(bed, 'app')
  for (const file of ['flake.nix', 'busybox']) await copyFile(join(formats.dir, file), join(app.dir, file))
  // Nix caches the commit of a branch for this time.
  const nix = { user: bed.buildUser.name, options: { 'tarball-ttl': 0 } }
  connected = await startConnectedShim(cluster, bed, { config: { nix } })
})
afterAll(async () => {
  await connected?.[Symbol.asyncDispose]()
  await bed?.[Symbol.asyncDispose]()
  await cluster?.[Symbol.asyncDispose]()
})

/** Commits a flake whose image greets so, and returns the commit. */
async function commit(greeting: string): Promise<string> {
  const flake = await readFile(join(app.dir, 'flake.nix'), 'utf8')
  return app.commit({ 'flake.nix': flake.replaceAll(/hello from [\w -]+ image/g, `hello from ${greeting} image`) })
}

test('a node builds the content of an unlocked flake that the NixBuild of its pod was built from', async () => {
  const recipe = {
    image: 'registry.example/locks/app:1',
    flakeUrl: `git+file://${app.dir}?ref=main`,
    packageName: 'docker-archive',
  }
  const pull = (namespace: string) => connected.kubelet.pullImage(podPull(namespace, recipe))
  const [first, second, third] = await Promise.all([0, 1, 2].map(() => cluster.createNamespace()))
  const rev = await commit('an old')
  const old = await pull(first ?? '')
  await commit('a new')
  const current = await pull(second ?? '')
  expect(current).not.toBe(old)

  const find = recipeFinder({ annotations: recipeAnnotations(recipe), system: 'x86_64-linux' })
  const found = find(recipe.image)
  const name = found ? nixBuildName(found) : ''
  const { image: imageTag, ...rest } = recipe
  await cluster.apply(nixBuildManifest(third ?? '', name, { imageTag, ...rest }))
  const status = { lockedFlakeUrl: `${recipe.flakeUrl}&rev=${rev}` }
  await cluster.kubectl([
    ...['patch', 'nixbuild', name, `--namespace=${third}`, '--subresource=status', '--type=merge'],
    `--patch=${JSON.stringify({ status })}`,
  ])
  expect(await pull(third ?? '')).toBe(old)
})
