import { lstat } from 'node:fs'
import { mkdir, readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { hasCode } from '../../lib/error-code.ts'

/** Folder with the files of a layer. */
export interface LayerFolder {
  readonly path: string
  /** Name of an entry, by which a lost folder is noticed. Undefined for a folder that is empty or has no plain name. */
  readonly witness?: string
}

/**
 * Label of a snapshot: the folders of its layer and of those below, highest first. It is set once all their files are on disk, so
 * that a later import can check whether they still exist.
 */
export const FOLDERS_LABEL = 'enbi.hrzn.ee/layer-folders'

/** containerd's limit for the name and value of a label together. */
const MAX_LABEL_BYTES = 4096
/** A witness has a short name that is the same in every encoding. */
const PLAIN_NAME = /^[\w.-]{1,24}$/

/** Finds a witness in each folder. Empty if one of the folders is missing. */
export async function findWitnesses(paths: readonly string[]): Promise<readonly LayerFolder[]> {
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

/** Value of the label; empty if there are no layers, or too many for a label. */
export function formatFolders(layers: readonly LayerFolder[]): string {
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

/** Undefined if the snapshot has no such label. */
export function parseFolders(labels: Readonly<Record<string, string>>): readonly LayerFolder[] | undefined {
  const parsed = v.safeParse(text, labels[FOLDERS_LABEL])
  if (!parsed.success) return undefined
  const { root, layers } = parsed.output
  return layers.map(([below, witness]) => {
    const path = below.startsWith('/') ? below : join(root, below)
    return witness === undefined ? { path } : { path, witness }
  })
}

/** Whether each layer has lost its files. */
export function areLost(layers: readonly LayerFolder[]): Promise<boolean[]> {
  return Promise.all(layers.map(({ path, witness = '' }) => isGone(join(path, witness))))
}

/** Other imports that repair the same layer may win this often. */
const MAX_TRIES = 10

/** Replaces the lost folder of a layer, unless another import has already done so. */
export async function replaceLostFolder(folder: string, lost: LayerFolder): Promise<void> {
  await mkdir(dirname(lost.path), { recursive: true, mode: 0o700 })
  for (let tries = 1; !(await takePlace(folder, lost.path)); tries += 1) {
    const [isLost] = await areLost([lost])
    if (!isLost) return
    if (tries === MAX_TRIES) throw new Error(`other imports keep changing ${lost.path}`)
    await putAside(lost, `${folder}.damaged-${tries}`)
  }
}

/** Returns false if the path exists. */
async function takePlace(folder: string, path: string): Promise<boolean> {
  try {
    await rename(folder, path)
    return true
  } catch (error) {
    if (hasCode(error, ...TAKEN)) return false
    throw error
  }
}

/** Moves the rest of a lost layer away. If another import has just repaired the layer, moves it back. */
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

/** Uses a callback, because Node's promises take as long as the call itself, and an image may have a hundred layers. */
function isGone(path: string): Promise<boolean> {
  return new Promise((resolve, reject) =>
    lstat(path, error => (error && !hasCode(error, ...GONE) ? reject(error) : resolve(error !== null))),
  )
}
