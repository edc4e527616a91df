import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pino } from 'pino'
import { ownedBy } from '../../../lib/queues/fair-order.ts'
import { createIdentity } from '../../../shim/import/identity.ts'
import type { ImportCall, ImportedImage, Importer, ImportOutcome } from '../../../shim/import/image/contract.ts'
import { createImporter } from '../../../shim/import/importer.ts'
import { type Bed, type BedOptions, startBed } from '../../node/bed.ts'
import { IMPORT_HELPER_PROGRAM } from '../../node/own-programs.ts'
import { infosIn } from './closure.ts'
import type { Entry } from './tar.ts'

/** A containerd, a folder in place of the Nix store, and an importer between them. */
export interface ImportNode extends AsyncDisposable {
  readonly bed: Bed
  /** For createImporter. */
  readonly options: Parameters<typeof createImporter>[0]
  /** Puts a build result into the store; returns its path. */
  addFile(name: string, content: Buffer | string, mode?: number): Promise<string>
  addFolder(name: string, entries: readonly Entry[]): Promise<string>
  importImage(storePath: string, call?: Partial<ImportCall>, by?: Importer): Promise<ImportedImage>
  /** Imports a package that may be a program. */
  tryImport(storePath: string, call?: Partial<ImportCall>, by?: Importer): Promise<ImportOutcome>
  /** Empties the image cache. */
  emptyImageCache(): Promise<void>
  /** Everything in containerd, sorted: its images, blobs, unfinished blobs, snapshots and leases. */
  contents(): Promise<Record<string, string[]>>
  ctr(...args: string[]): Promise<string>
  /** Runs containerd's garbage collection. */
  collect(): Promise<void>
}

export async function startImportNode(bedOptions: BedOptions = {}): Promise<ImportNode> {
  const bed = await startBed({ without: ['nix'], ...bedOptions })
  const store = join(bed.dir, 'store')
  await mkdir(store)
  const options = {
    containerd: { address: bed.containerdSocket, snapshotter: 'overlayfs' },
    stateDir: join(bed.dir, 'state'),
    layers: 'linked' as const,
    trustStore: false,
    queryClosure: () => infosIn(store),
    onLinking: () => {},
    identity: createIdentity(join(bed.dir, 'state')),
    logger: pino({ level: 'silent' }),
    helper: IMPORT_HELPER_PROGRAM,
  }
  const importer = createImporter(options)
  const ctr = async (...args: string[]) => {
    const { stdout } = await bed.run('ctr', ['--address', bed.containerdSocket, '--namespace', 'k8s.io', ...args])
    return stdout
  }
  const tryImport: ImportNode['tryImport'] = (storePath, call = {}, by = importer) =>
    by.importImage({
      storePath,
      image: 'registry.example/team/app:1',
      labels: {},
      ownedBy: 'example/owner',
      replaceForeign: true,
      maxImageSize: 2 ** 40,
      owners: ownedBy('team-a'),
      signal: new AbortController().signal,
      onProgress: () => {},
      ...call,
    })
  return {
    bed,
    options,
    ctr,
    tryImport,
    async collect() {
      await ctr('leases', 'create', '--id', 'collect')
      await ctr('leases', 'rm', '--sync', 'collect')
    },
    async addFile(name, content, mode = 0o444) {
      const path = join(store, name)
      await writeFile(path, content)
      await chmod(path, mode)
      return path
    },
    addFolder: (name, entries) => writeFolder(join(store, name), entries),
    async importImage(storePath, call, by) {
      const outcome = await tryImport(storePath, call, by)
      if ('imageId' in outcome) return outcome
      throw new Error(`${storePath} is a program`)
    },
    emptyImageCache: () => rm(join(options.stateDir, 'plans'), { recursive: true }),
    async contents() {
      const [images, blobs, unfinished, snapshots, leases] = await Promise.all([
        ctr('images', 'ls', '-q'),
        ctr('content', 'ls', '-q'),
        ctr('content', 'active'),
        ctr('snapshots', 'ls'),
        ctr('leases', 'ls', '-q'),
      ])
      return {
        images: lines(images).sort(),
        blobs: lines(blobs).sort(),
        unfinished: rows(unfinished),
        snapshots: rows(snapshots),
        leases: lines(leases).sort(),
      }
    },
    [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose](),
  }
}

async function writeFolder(folder: string, entries: readonly Entry[]): Promise<string> {
  await mkdir(folder)
  for (const { name, content = '' } of entries) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

function lines(text: string): string[] {
  return text.split('\n').filter(line => line !== '')
}

/** Without the header line. */
function rows(text: string): string[] {
  return lines(text).slice(1).sort()
}
