import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder that stands for the Nix store, with the parts of an image of streamLayeredImage. */
export interface StreamStore extends AsyncDisposable {
  readonly storeDir: string
  /** The conf.json of an image with two layers, of the newest form. */
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

/** What is recognised of the program. */
const common = (rootMode: string) => `
def nix_root(ti):
    ti.mode = ${rootMode}  # of both
    return ti

tar.addfile(apply_filters(nix_root(dir("/nix"))))
tar.addfile(apply_filters(nix_root(dir("/nix/store"))))
if path.is_symlink(): ...
for filename in sorted(files):
    if ti.islnk():
        ti.type = tarfile.REGTYPE
load_from_image(conf["from_image"])
{"os": "linux", "config": overlay_base_config(from_image, conf["config"])}
{"comment": f"store paths: {layer.paths}"}
json.dumps(image_json, indent=4)
`

export const NEWER_PROGRAM = `${common('0o0755')}
uid = int(conf["uid"])
mtime = int(parse_time(conf["mtime"]).timestamp())
`

export const OLDER_PROGRAM = `${common('0o0555')}
ti.uid = 0
mtime = int(created.timestamp())
`
