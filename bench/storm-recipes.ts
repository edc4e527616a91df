import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../recipes/system.ts'
import { hostPlatform } from '../shim/import/image/config.ts'
import type { Bed } from '../test/node/bed.ts'
import { lockExample } from '../test/node/example.ts'
import { BUSYBOX } from '../test/node/programs.ts'
import type { PodRecipe } from '../test/node/recipe-pull.ts'
import { writeStoreImages } from '../test/node/store-image.ts'

export interface StormRecipe extends PodRecipe {
  readonly name: string
}

/** Half of them archives, half of them layers of store paths; every other one locked. Each says its own name when it is run. */
export async function writeStormRecipes(bed: Bed, count: number): Promise<readonly StormRecipe[]> {
  const busybox = join(bed.dir, 'busybox')
  await copyFile(BUSYBOX, busybox)
  await chmod(busybox, 0o755)
  const names = Array.from({ length: count / 2 }, (_, n) => `${n}`)
  const archives = names.map(n => `archive-${n}`)
  const stores = names.map(n => `store-${n}`)
  return [
    ...(await recipesOf(bed, await writeArchives(bed, busybox, archives), archives, '')),
    ...(await recipesOf(bed, await writeStores(bed, busybox, stores), stores, 'conf.')),
  ]
}

async function recipesOf(bed: Bed, flake: { dir: string; url: string }, names: readonly string[], set: string) {
  const locked = await lockExample(flake, bed.run)
  return names.map((name, index) => ({
    name,
    image: `storm.example/${name}:1`,
    flakeUrl: index % 2 === 0 ? flake.url : locked.url,
    packageName: `${set}${name}`,
  }))
}

const LIBRARIES = 6

function writeStores(bed: Bed, busybox: string, names: readonly string[]) {
  const libraries = Array.from({ length: LIBRARIES }, (_, n) => [`library-${n}`, ['many', `${n + 1}`, '200', '5000']])
  const tops = names.map((name, n) => [`top-${name}`, ['many', `${n + 101}`, '100', '5000']])
  const images = names.map((name, n) => [
    name,
    {
      layers: [[`library-${n % LIBRARIES}`], [`library-${(n + 1) % LIBRARIES}`], [`top-${name}`]],
      customisation: { script: `mkdir bin; cp ${busybox} bin/busybox` },
      config: { Cmd: ['/bin/busybox', 'echo', name] },
    },
  ])
  return writeStoreImages(bed.dir, {
    trees: Object.fromEntries([...libraries, ...tops]),
    images: Object.fromEntries(images),
  })
}

async function writeArchives(bed: Bed, busybox: string, names: readonly string[]) {
  const dir = join(bed.dir, 'storm-archives')
  await mkdir(dir)
  await chmod(dir, 0o755)
  await writeFile(join(dir, 'flake.nix'), archivesFlake(busybox, names))
  return { dir, url: `path:${dir}` }
}

/** Their builders write a long log. */
function archivesFlake(busybox: string, names: readonly string[]): string {
  return `{
  outputs = _:
    let
      archive = name: derivation {
        name = "\${name}.tar";
        system = "${hostSystem()}";
        builder = "/bin/sh";
        PATH = "/usr/bin:/bin";
        args = [ "-euc" ''
          seq -f "${'line %.0f of many'.padEnd(100, '.')}" 1 5000
          mkdir -p root/bin archive
          cp ${busybox} root/bin/busybox
          yes "\${name}" | head -c 4000000 > root/noise
          tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -C root -cf layer.tar .
          layer=$(sha256sum layer.tar | cut -d ' ' -f 1)
          mkdir archive/$layer
          mv layer.tar archive/$layer/layer.tar
          echo "{\\"architecture\\":\\"${hostPlatform().architecture}\\",\\"os\\":\\"linux\\",\\"config\\":{\\"Cmd\\":[\\"/bin/busybox\\",\\"echo\\",\\"\${name}\\"]},\\"rootfs\\":{\\"type\\":\\"layers\\",\\"diff_ids\\":[\\"sha256:$layer\\"]}}" > config.json
          config=$(sha256sum config.json | cut -d ' ' -f 1)
          mv config.json archive/$config.json
          echo "[{\\"Config\\":\\"$config.json\\",\\"RepoTags\\":[\\"storm:1\\"],\\"Layers\\":[\\"$layer/layer.tar\\"]}]" > archive/manifest.json
          tar -cf $out -C archive $layer/layer.tar $config.json manifest.json
        '' ];
      };
    in {
      packages.${hostSystem()} = builtins.listToAttrs (map (name: { inherit name; value = archive name; }) [ ${names.map(name => JSON.stringify(name)).join(' ')} ]);
    };
}
`
}
