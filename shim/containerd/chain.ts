import { createHash } from 'node:crypto'

/** ChainID of a layer. `parent`: chainID of the layers below, empty for none. Source: OCI image specification, config.md. */
export function chainOf(parent: string, diffId: string): string {
  if (parent === '') return diffId
  return `sha256:${createHash('sha256').update(`${parent} ${diffId}`).digest('hex')}`
}

/** The chainID of each layer, bottom first. */
export function chainsOf(diffIds: readonly string[]): string[] {
  let parent = ''
  return diffIds.map(diffId => {
    parent = chainOf(parent, diffId)
    return parent
  })
}
