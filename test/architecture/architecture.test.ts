import { dirname } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { findCircles, folderImports, readSources, type SourceFile } from './imports.ts'

/** From the lowest on. A folder imports from itself and from those before it. */
const LAYERS = [['lib'], ['recipes'], ['kube'], ['shim', 'controller']]
/** Stages of a pull: they know each other only through `shim/pull`. */
const STAGES = ['shim/proxy', 'shim/nix', 'shim/containerd', 'shim/import']
/** The one stage that uses another: what an import makes lies in containerd. */
const ALLOWED = 'shim/import -> shim/containerd'
const MOST_FILES = 16
/** A file that one other imports and that is shorter belongs in that other. */
const LEAST_LINES = 25

let sources: SourceFile[]
beforeAll(async () => {
  sources = await readSources(LAYERS.flat())
})

describe('the architecture', () => {
  it('has imports that point downwards only', () => {
    expect(importsWhere(pointsUp)).toEqual([])
  })

  it('has stages that do not know each other', () => {
    expect(importsWhere((from, to) => isBetweenStages(from, to))).toEqual([])
  })

  it('has no files that import each other in a circle', () => {
    expect(findCircles(new Map(sources.map(({ path, imports }) => [path, imports])))).toEqual([])
  })

  it('has no folders that import each other in a circle', () => {
    expect(findCircles(folderImports(sources))).toEqual([])
  })

  it(`has at most ${MOST_FILES} files in a folder`, () => {
    const folders = Map.groupBy(sources, ({ path }) => dirname(path))
    const crowded = [...folders]
      .filter(([, { length }]) => length > MOST_FILES)
      .map(([folder, { length }]) => [folder, length])
    expect(crowded).toEqual([])
  })

  it(`has no file of under ${LEAST_LINES} lines with a single importer`, () => {
    const importers = Map.groupBy(
      sources.flatMap(({ imports }) => imports),
      target => target,
    )
    const small = sources.filter(({ path, lines }) => lines < LEAST_LINES && importers.get(path)?.length === 1)
    expect(small.map(({ path }) => path)).toEqual([])
  })
})

describe('findCircles', () => {
  it.each([
    ['a line', { a: ['b'], b: ['c'] }, []],
    ['two that import each other', { a: ['b'], b: ['a'] }, [['a', 'b']]],
    ['a longer circle and what hangs on it', { a: ['b'], b: ['c', 'x'], c: ['a'], x: [] }, [['a', 'b', 'c']]],
    [
      'two circles',
      { d: ['e'], e: ['d'], a: ['b', 'd'], b: ['a'] },
      [
        ['a', 'b'],
        ['d', 'e'],
      ],
    ],
  ] as const)('finds the circles of %s', (_, graph, circles) => {
    expect(findCircles(new Map(Object.entries(graph)))).toEqual(circles)
  })
})

function importsWhere(isWrong: (from: string, to: string) => boolean): string[] {
  return sources.flatMap(({ path, imports }) =>
    imports.filter(target => isWrong(path, target)).map(target => `${path} -> ${target}`),
  )
}

function pointsUp(from: string, to: string): boolean {
  const own = layerOf(from)
  const other = layerOf(to)
  return other > own || (other === own && from.split('/')[0] !== to.split('/')[0])
}

function layerOf(path: string): number {
  return LAYERS.findIndex(folders => folders.some(folder => path.startsWith(`${folder}/`)))
}

function isBetweenStages(from: string, to: string): boolean {
  const own = stageOf(from)
  const other = stageOf(to)
  return own !== undefined && other !== undefined && own !== other && `${own} -> ${other}` !== ALLOWED
}

function stageOf(path: string): string | undefined {
  return STAGES.find(stage => path.startsWith(`${stage}/`))
}
