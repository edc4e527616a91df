import { rm, writeFile } from 'node:fs/promises'
import { addGate, copyExample } from '../node/example.ts'
import type { PodRecipe } from '../node/recipe-pull.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'

/** A flake that all nodes of a cluster can read. Its builders wait for its gate. */
export interface GatedFlake {
  readonly url: string
  /** A recipe that ties the image to this flake. */
  recipe(image: string): PodRecipe
  /** Opens the gate: all builders continue, on all nodes. */
  open(): Promise<void>
  /** Closes the gate: new builders wait again. */
  close(): Promise<void>
  /** Whether a builder waits on that node. */
  isBuilding(node: Pick<ClusterNode, 'bed'>): Promise<boolean>
}

const PACKAGE = 'gated'

/** Makes a new flake, so that no node has built it before. */
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
