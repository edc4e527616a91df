import { lstat } from 'node:fs'
import { mkdir, readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { hasCode } from '../../lib/error-code.ts'

/** Where the files of a layer lie. */
export interface LayerFolder {
  readonly path: string
  /** Name of something in it; missing for a folder that is empty, or has no plain name in it. */
  readonly witness?: string
}

/**
 * Label of a snapshot: the folders of its layer and of those below, in that order. It is set once all of these are on disk, so
 * that whoever asks for the snapshot can see whether they still are.
 */
export const FOLDERS_LABEL = 'enbi.hrzn.ee/layer-folders'

/** containerd's limit for name and value of a label together, in bytes. */
const MAX_LABEL_BYTES = 4096
/** Names that a witness may have: short, and the same in every encoding. */
const PLAIN_NAME = /^[\w.-]{1,24}$/

/** With a witness for each; none when one of the folders is not there. */
export async function lookInto(paths: readonly string[]): Promise<readonly LayerFolder[]> {
  try {
    return await Promise.all(paths.map(async path => withWitness(path, await readdir(path))))
  } catch (error) {
    if (hasCode(error, ...GONE)) return []
    throw error
  }
}

function withWitness(path: string, names: readonly string[]): LayerFolder {
  const witness = names.find(name => PLAIN_NAME.test(name))
  return witness === undefined ? { path } : { path, witness }
}

/** Empty when there are none, or too many for a label. */
export function writeFolders(layers: readonly LayerFolder[]): string {
  if (layers.length === 0) return ''
  const root = dirname(dirname(layers[0]?.path ?? ''))
  const entries = layers.map(({ path, witness }) => {
    const below = path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path
    return witness === undefined ? [below] : [below, witness]
  })
  const text = JSON.stringify({ root, layers: entries })
  return Buffer.byteLength(FOLDERS_LABEL + text) > MAX_LABEL_BYTES ? '' : text
}

const text = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ root: v.string(), layers: v.array(v.union([v.tuple([v.string(), v.string()]), v.tuple([v.string()])])) }),
)

/** Undefined when there is no such label. */
export function readFolders(labels: Readonly<Record<string, string>>): readonly LayerFolder[] | undefined {
  const parsed = v.safeParse(text, labels[FOLDERS_LABEL])
  if (!parsed.success) return undefined
  const { root, layers } = parsed.output
  return layers.map(([below, witness]) => {
    const path = below.startsWith('/') ? below : join(root, below)
    return witness === undefined ? { path } : { path, witness }
  })
}

/** Of each, whether its files are no longer there. */
export function areLost(layers: readonly LayerFolder[]): Promise<boolean[]> {
  return Promise.all(layers.map(({ path, witness = '' }) => isGone(join(path, witness))))
}

/** Others that repair the same layer may come first this often. */
const MAX_TRIES = 10

/** Gives the layer another folder for the one that is lost, unless somebody else has done so. */
export async function putInPlace(folder: string, lost: LayerFolder): Promise<void> {
  await mkdir(dirname(lost.path), { recursive: true, mode: 0o700 })
  for (let tries = 1; !(await takePlace(folder, lost.path)); tries += 1) {
    const [isLost] = await areLost([lost])
    if (!isLost) return
    if (tries === MAX_TRIES) throw new Error(`${lost.path} is changed by others again and again`)
    await putAside(lost, `${folder}.damaged-${tries}`)
  }
}

/** False when there is something. */
async function takePlace(folder: string, path: string): Promise<boolean> {
  try {
    await rename(folder, path)
    return true
  } catch (error) {
    if (hasCode(error, ...TAKEN)) return false
    throw error
  }
}

/** A part of the layer is left; or somebody else has repaired it just now, and gets it back. */
async function putAside(lost: LayerFolder, aside: string): Promise<void> {
  try {
    await rename(lost.path, aside)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return
    throw error
  }
  const [isLost] = await areLost([{ ...lost, path: aside }])
  if (!isLost) await takePlace(aside, lost.path)
}

const TAKEN = ['ENOTEMPTY', 'EEXIST']
const GONE = ['ENOENT', 'ENOTDIR']

/** Without the promises of Node's: they take as long as the rest, and an image may have a hundred layers. */
function isGone(path: string): Promise<boolean> {
  return new Promise((resolve, reject) =>
    lstat(path, error => (error && !hasCode(error, ...GONE) ? reject(error) : resolve(error !== null))),
  )
}
