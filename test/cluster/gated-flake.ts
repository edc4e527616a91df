import { rm, writeFile } from 'node:fs/promises'
import { addGate, copyExample } from '../node/example.ts'
import type { PodRecipe } from '../node/recipe-pull.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

/** A flake, to be seen by all nodes of a cluster, whose builder waits until it is let go on. */
export interface GatedFlake {
  readonly url: string
  /** A pod's wish for its image. */
  recipe(image: string): PodRecipe
  /** Lets every builder go on, on all nodes. */
  open(): Promise<void>
  /** Builders wait again. */
  close(): Promise<void>
  /** Whether its builder runs on that node. */
  isBuilding(node: ClusterNode): Promise<boolean>
}

const PACKAGE = 'gated'

/** What was built before would be there at once: every call makes a flake that no node has built. */
export async function makeGatedFlake({ access }: Pick<Cluster, 'access'>): Promise<GatedFlake> {
  const example = await copyExample('formats', access.dir)
  const gate = await addGate(example)
  return {
    url: example.url,
    recipe: image => ({ image, flakeUrl: example.url, packageName: PACKAGE }),
    open: () => writeFile(gate, ''),
    close: () => rm(gate, { force: true }),
    async isBuilding({ bed }) {
      const found = await bed.run('pgrep', ['-f', `until test -e ${gate};`], { reject: false })
      return found.exitCode === 0
    },
  }
}
