import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Bed, startBed } from '../../../node/bed.ts'

const PROGRAM = join(import.meta.dirname, 'paths-program.ts')
const STORE = 'mkdir -p store/path target mnt && echo text > store/path/file'
/** As on NixOS. */
const READ_ONLY = 'mount --bind store store && mount -o remount,bind,ro store'
/** Mounts over what is below, so that only a new mount shows it. */
const HIDDEN = 'mount --bind store mnt && mkdir empty && mount --bind empty store'
/** A common set-up with /nix and /var in a btrfs. */
const SUBVOLUMES = `truncate -s 200M image; mkfs.btrfs --quiet image; mount -o loop image mnt
btrfs subvolume create mnt/store; btrfs subvolume create mnt/target; cp -r store/path mnt/store
rmdir target; ln -s mnt/target target`
const NOT_PERMITTED = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin', '--']

test.each([
  ['in one mount', '', 'store', [], 'by hard links'],
  ['out of a read-only mount, as on NixOS', READ_ONLY, 'store', [], 'by hard links, through a mount of its own'],
  [
    'to a folder behind an absolute symlink',
    `${READ_ONLY} && mv target moved && ln -s "$PWD/moved" target`,
    'store',
    [],
    'by hard links, through a mount of its own',
  ],
  [
    'through a mount that is there',
    `${READ_ONLY} && mkdir view && mount --bind / view`,
    'store',
    [],
    /^by hard links, through /,
  ],
  ['through a mount of its own', HIDDEN, 'mnt', [], 'by hard links, through a mount of its own'],
  [
    'from another file system',
    'mount -t tmpfs tmpfs mnt && cp -r store/path mnt',
    'mnt',
    [],
    'by copies, as the store is on another file system',
  ],
  [
    'between subvolumes of a btrfs',
    SUBVOLUMES,
    'mnt/store',
    [],
    'by reflinks, as no mount shows both the store and the snapshots',
  ],
  [
    'where nothing may be mounted',
    HIDDEN,
    'mnt',
    NOT_PERMITTED,
    /^by copies, as a mount that shows both .* cannot be made: unshare/,
  ],
])('files get from the store to the snapshots: %s', async (_where, prepare, store, prefix, how) => {
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  await bed.run('sh', ['-euc', `${STORE}; ${prepare || ':'}`])
  const said = await runView(bed, prefix, store)
  if (typeof how === 'string') expect(said).toBe(how)
  else expect(said).toMatch(how)
  const linked = await bed.run('stat', ['-c', '%h', 'target/linked'], { reject: false })
  expect(linked.stdout).toBe(said.startsWith('by hard links') ? '2' : '')
  expect(await leftViews(bed)).toEqual([])
  expect((await bed.run('sh', ['-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "'])).stdout).not.toContain('exec cat')
})

async function runView(bed: Bed, prefix: readonly string[], store: string): Promise<string> {
  const folders = [join(bed.dir, store), join(bed.dir, 'target'), join(bed.dir, 'own-view')]
  const [program = '', ...args] = [...prefix, process.execPath, PROGRAM, ...folders]
  return (await bed.run(program, args)).stdout
}

test('two concurrent imports have a mount each', async () => {
  await using bed = await startBed({ without: ['containerd', 'nix'] })
  await bed.run('sh', ['-euc', `${STORE}; mkdir second; ${READ_ONLY}`])
  const paths = ['store', 'target', 'second', 'own-view'].map(name => join(bed.dir, name))
  const { stdout } = await bed.run(process.execPath, [join(import.meta.dirname, 'two-views-program.ts'), ...paths])
  expect(stdout.split('\n')).toEqual(Array(2).fill('by hard links, through a mount of its own'))
  expect((await bed.run('stat', ['-c', '%h', 'second/linked'])).stdout).toBe('2')
  expect(await leftViews(bed)).toEqual([])
})

async function leftViews({ dir }: Bed): Promise<string[]> {
  return (await readdir(dir)).filter(name => name.startsWith('own-view'))
}
