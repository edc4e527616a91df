import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import type { StorePathLayer } from '../../../../shim/import/image/store-image.ts'
import { runPython } from '../../../node/python.ts'

/** Replaces nixpkgs' stream_layered_image.py (see there). */
export const TARFILE_LAYER = join(import.meta.dirname, 'tarfile-layer.py')

const digestsSchema = v.tuple([v.object({ diffId: v.string(), size: v.number() })])

/**
 * Digest and size of the layer's tar as Python makes it. The root mode selects the version of the program: 0755 for the newer,
 * 0555 for the older.
 */
export async function tarfileDigest(layer: StorePathLayer, folder: string): Promise<{ diffId: string; size: number }> {
  const { paths, owner, mtime, rootMode } = layer
  const { uid, gid, uname, gname } = owner
  const time = new Date(mtime * 1000).toISOString().replace('Z', '+00:00')
  const conf = { store_layers: [paths], created: time, mtime: time, uid: String(uid), gid: String(gid), uname, gname }
  const file = join(folder, 'conf.json')
  await writeFile(file, JSON.stringify(conf))
  const args = ['--digests', ...(rootMode === 0o755 ? [] : ['--older']), file]
  return v.parse(digestsSchema, JSON.parse(await runPython(TARFILE_LAYER, args)))[0]
}
