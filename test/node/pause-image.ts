import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { arch } from 'node:os'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { BUSYBOX } from './programs.ts'

/** Writes a docker-archive of the image that holds a pod's namespaces open: a busybox that sleeps. */
export async function writePauseImage(file: string, name: string): Promise<void> {
  const layer = await tar({ 'bin/busybox': await readFile(BUSYBOX) })
  const config = JSON.stringify({
    architecture: arch() === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Entrypoint: ['/bin/busybox', 'sleep', '2147483647'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
  })
  const manifest = JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }])
  const archive = await tar({ 'layer.tar': layer, 'config.json': config, 'manifest.json': manifest })
  await writeFile(file, archive)
}

async function tar(files: Readonly<Record<string, Buffer | string>>): Promise<Buffer> {
  const archive = pack()
  for (const [name, content] of Object.entries(files)) archive.entry({ name, mode: 0o755 }, content)
  archive.finalize()
  return buffer(archive)
}
