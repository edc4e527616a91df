import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'

const TOP = join(import.meta.dirname, '../..')
/** Including imports of types, because readers of a file need to know what its types mean. */
const IMPORT = /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*)'(\.{1,2}\/[^']+)'/g

export interface SourceFile {
  /** From the top of the repository. */
  readonly path: string
  readonly lines: number
  /** The files that it imports, from the top of the repository. */
  readonly imports: readonly string[]
}

/** Every TypeScript file below these folders. */
export async function readSources(folders: readonly string[]): Promise<SourceFile[]> {
  const found = await Promise.all(folders.map(folder => sourcesBelow(folder)))
  return found.flat().sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function sourcesBelow(folder: string): Promise<SourceFile[]> {
  const names = (await readdir(join(TOP, folder), { recursive: true })).filter(name => name.endsWith('.ts'))
  return await Promise.all(
    names.map(async name => {
      const path = join(folder, name)
      const text = await readFile(join(TOP, path), 'utf8')
      const imports = [...text.matchAll(IMPORT)].map(([, target = '']) => normalize(join(dirname(path), target)))
      return { path, lines: text.split('\n').length - 1, imports: [...new Set(imports)] }
    }),
  )
}

/** What each folder imports from other folders: a folder inside another is one of its own. */
export function folderImports(sources: readonly SourceFile[]): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>()
  for (const { path, imports } of sources) {
    const targets = graph.get(dirname(path)) ?? new Set()
    for (const target of imports) if (dirname(target) !== dirname(path)) targets.add(dirname(target))
    graph.set(dirname(path), targets)
  }
  return graph
}

/** Groups of nodes that reach each other, each sorted (Tarjan's algorithm). */
export function findCircles(graph: ReadonlyMap<string, Iterable<string>>): string[][] {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const open: string[] = []
  const circles: string[][] = []

  function visit(node: string): number {
    const own = order.size
    order.set(node, own)
    let low = own
    open.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) low = Math.min(low, visit(next))
      else if (open.includes(next)) low = Math.min(low, lowest.get(next) ?? order.get(next) ?? own)
    }
    lowest.set(node, low)
    if (low === own) {
      const circle = open.splice(open.indexOf(node))
      if (circle.length > 1) circles.push(circle.sort())
    }
    return low
  }

  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return circles.sort((a, b) => (a.join() < b.join() ? -1 : 1))
}
