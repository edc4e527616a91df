import { randomUUID } from 'node:crypto'
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeMadeFlake } from '../../node/made-flake.ts'
import { BUSYBOX } from '../../node/programs.ts'
import type { PodRecipe } from '../../node/recipe-pull.ts'
import type { Cluster } from '../cluster.ts'

/** A flake that no two builders make the same image of, and that counts them. For builds without a sandbox. */
export interface CountedFlake {
  readonly url: string
  recipe(image: string): PodRecipe
  /** How often its builder has started, on all nodes. */
  builds(): Promise<number>
  /** Builders continue. */
  open(): Promise<void>
  /** Builders wait from now on. */
  close(): Promise<void>
}

export interface CountedOptions {
  /** The builder fails instead of making an image. */
  readonly fails?: boolean
}

/** The gate is closed. The image holds the time of its build. */
export async function makeCountedFlake(
  { access }: Pick<Cluster, 'access'>,
  { fails = false }: CountedOptions = {},
): Promise<CountedFlake> {
  const dir = await mkdtemp(join(access.dir, 'counted-'))
  await chmod(dir, 0o755) // for the build user
  const [gate, count, busybox] = [join(dir, 'gate'), join(dir, 'count'), join(dir, 'busybox')]
  await Promise.all([copyFile(BUSYBOX, busybox), writeFile(count, '')])
  const name = `counted-${randomUUID().slice(0, 8)}`
  const script = `
    echo started >> ${count}
    until test -e ${gate}; do sleep 0.05; done
    ${fails ? 'echo this builder always fails >&2; exit 1' : ''}
    mkdir -p root/bin archive
    cp ${busybox} root/bin/busybox
    chmod 755 root/bin/busybox
    date +%s%N > root/time
    tar -cf archive/layer.tar -C root bin time
    layer=$(sha256sum archive/layer.tar | cut -d ' ' -f 1)
    echo '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:'$layer'"]}}' > archive/config.json
    echo '[{"Config":"config.json","RepoTags":["counted:1"],"Layers":["layer.tar"]}]' > archive/manifest.json
    tar -cf $out -C archive layer.tar config.json manifest.json`
  const url = await writeMadeFlake(dir, `make "${name}.tar" { } ''${script}''`)
  return {
    url,
    recipe: image => ({ image, flakeUrl: url, packageName: 'image' }),
    builds: async () => (await readFile(count, 'utf8')).split('\n').length - 1,
    open: () => writeFile(gate, ''),
    close: () => rm(gate, { force: true }),
  }
}
