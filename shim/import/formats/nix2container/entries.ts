import { archiveInvalid } from '../../image/errors.ts'
import type { CountEntries } from '../../image/size-limit.ts'
import { type MergedLayer, type Owner, type Permission, ROOT } from '../../image/store-image.ts'
import type { ByteString } from '../../store/byte-string.ts'
import { show } from '../../store/store-tree.ts'
import { SYMLINK_MODE } from '../../tar/header.ts'
import type { Regexes } from './regex.ts'
import { type MergedFile, type MergedNode, mergeTree } from './tree.ts'

export interface MergedEntry extends Owner {
  readonly type: 'file' | 'symlink' | 'directory'
  /** Cleaned, without a slash at the end. */
  readonly name: ByteString
  /** Absolute. Undefined for a directory that is in no store path. */
  readonly source: ByteString | undefined
  readonly mode: number
  /** In bytes; 0 unless it is a file. */
  readonly size: number
}

/**
 * The entries of the layer in the order of its tar: a directory before what it holds, names in a directory sorted as bytes.
 * Before the first entry, throws ArchiveInvalid if the store paths do not fit together, ImportInterrupted, and as `count` does.
 */
export function* mergedEntries(layer: MergedLayer, regexes: Regexes, count?: CountEntries): Generator<MergedEntry> {
  yield* walk(mergeTree(layer, regexes, count), { regexes, hasGnames: layer.form.hasGnames })
}

interface Permitting {
  readonly regexes: Regexes
  readonly hasGnames: boolean
}

function* walk(root: MergedNode, how: Permitting): Generator<MergedEntry> {
  const stack = childrenOf('', root)
  for (let place = stack.pop(); place; place = stack.pop()) {
    const [name, node] = place
    const entry = toEntry(name, node.file, how)
    if (entry.type !== 'directory') checkPlace(entry, node)
    yield entry
    for (const child of childrenOf(name, node)) stack.push(child)
  }
}

/** Last one first, since they go onto a stack. */
function childrenOf(base: ByteString, { children }: MergedNode): [name: ByteString, node: MergedNode][] {
  if (!children) return []
  const sorted = [...children].sort(([one], [other]) => (one < other ? 1 : -1))
  return sorted.map(([part, node]) => [join(base, part), node])
}

function join(base: ByteString, part: ByteString): ByteString {
  if (base === '') return part === '' ? '/' : part
  return base === '/' ? `/${part}` : `${base}/${part}`
}

const FOLDER = { type: 'directory', source: undefined, mode: 0o755, size: 0, ...ROOT } as const

function toEntry(name: ByteString, file: MergedFile | undefined, { regexes, hasGnames }: Permitting): MergedEntry {
  if (!file) return { ...FOLDER, name }
  const { source, type, from } = file
  const mode = type === 'symlink' ? SYMLINK_MODE : file.mode & 0o7777
  const entry = { type, name, source, mode, size: type === 'file' ? file.size : 0, ...ROOT } as const
  return from.perms
    .filter(({ regex }) => regexes.get(regex)?.matches(source))
    .reduce<MergedEntry>((permitted, permission) => permit(permitted, permission, hasGnames), entry)
}

function permit(entry: MergedEntry, permission: Permission, hasGnames: boolean): MergedEntry {
  const { mode, uid, gid, uname, gname } = permission
  return {
    ...entry,
    uid,
    gid,
    uname: uname || entry.uname,
    gname: gname === '' ? entry.gname : hasGnames ? gname : uname,
    mode: mode === '' ? entry.mode : Number.parseInt(mode, 8),
  }
}

/** Files below a symlink could get anywhere. */
function checkPlace({ name, source = '' }: MergedEntry, { children }: MergedNode): void {
  if (children !== undefined || name === '/' || name === '.')
    throw archiveInvalid(`would have ${show(source)} at ${show(name)}, where a folder must be`)
}
