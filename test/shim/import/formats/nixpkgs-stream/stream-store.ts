import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  codeDigest,
  type KnownPrograms,
  type StreamProgram,
} from '../../../../../shim/import/formats/nixpkgs-stream/program.ts'

/** A folder in place of the Nix store, with the parts of an image of streamLayeredImage. */
export interface StreamStore extends AsyncDisposable {
  readonly storeDir: string
  /** The conf.json of an image with two layers, of the newest version. */
  readonly conf: Readonly<Record<string, unknown>>
  storePath(name: string): string
  add(name: string, content: string): Promise<string>
  /** Adds a conf.json; returns the path of its script. */
  addScript(conf: unknown, program?: string): Promise<string>
}

export const CHECKSUM = '7'.repeat(64)

export async function makeStreamStore(): Promise<StreamStore> {
  const storeDir = await realpath(await mkdtemp(join(tmpdir(), 'enbi-store-')))
  const storePath = (name: string) => join(storeDir, `${name.charAt(0).repeat(32)}-${name}`)
  const add = async (name: string, content: string) => {
    await writeFile(storePath(name), content)
    return storePath(name)
  }
  await mkdir(storePath('customisation-layer'))
  await writeFile(join(storePath('customisation-layer'), 'layer.tar'), '')
  await writeFile(join(storePath('customisation-layer'), 'checksum'), `${CHECKSUM}\n`)
  return {
    storeDir,
    storePath,
    add,
    conf: {
      architecture: 'amd64',
      config: { Cmd: ['/bin/app'] },
      os: 'linux',
      store_dir: storeDir,
      from_image: null,
      store_layers: [[storePath('lib-1.0')], [storePath('app')]],
      customisation_layer: storePath('customisation-layer'),
      repo_tag: 'app:1',
      created: '2024-02-29T23:59:59+00:00',
      mtime: '1970-01-01T00:00:01+00:00',
      uid: '1000',
      gid: '100',
      uname: 'app',
      gname: 'users',
    },
    async addScript(conf, program = NEWER_PROGRAM) {
      const args = `"${await add('stream', program)}"  ${await add('image-conf.json', JSON.stringify(conf))}`
      return add('wrapper', `#! /bin/bash -e\nexec ${args} "$@" \n`)
    },
    async [Symbol.asyncDispose]() {
      await rm(storeDir, { recursive: true })
    },
  }
}

export const NEWER_PROGRAM = 'stream(sys.argv[1], root_mode=0o755)\n'
export const OLDER_PROGRAM = 'stream(sys.argv[1], root_mode=0o555)\n'

export const PROGRAMS: KnownPrograms = knownPrograms([
  [NEWER_PROGRAM, { rootMode: 0o755, hasOwner: true, hasMtime: true }],
  [OLDER_PROGRAM, { rootMode: 0o555, hasOwner: false, hasMtime: false }],
])

export function knownPrograms(programs: readonly (readonly [source: string, program: StreamProgram])[]): KnownPrograms {
  return new Map(programs.map(([source, program]) => [codeDigest(source) ?? '', program]))
}
