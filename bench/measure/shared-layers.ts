import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../../recipes/system.ts'
import { type Bed, startBed } from '../../test/node/bed.ts'
import { diskUsage } from '../disk-usage.ts'
import { SHIM_PROGRAM } from '../fixtures/node.ts'

const COMMON = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7', 'p8', 'p9']
const [FIRST, SECOND] = [
  [...COMMON, 'tenth'],
  [...COMMON, 'another'],
]

/**
 * Disk that the second image of a package set takes, as a share of its size, in linked or tar mode, whichever is worse. The images have
 * nine of ten packages in common, and more store paths than an image can have layers.
 */
export async function measureSharedLayers() {
  const ratios = [await measure('linked'), await measure('tar')]
  return { 'names.shared.bytes.ratio': Math.max(...ratios) }
}

async function measure(layers: 'linked' | 'tar'): Promise<number> {
  await using bed = await startBed()
  const rule = { images: 'nix.local/pkgs/{contents}', packages: `path:${await writePackageSet(bed)}` }
  const policy = [{ namespaces: ['*'], images: ['**'], flakes: ['packages:path:/**'] }]
  const shim = await bed.startShim({ ...SHIM_PROGRAM, config: { names: [rule], policy, import: { layers } } })
  const pull = async (contents: readonly string[]) => {
    const image = `nix.local/pkgs/${contents.join('/')}`
    await bed.cri(shim.socket).pullImage({ image })
    return image
  }
  await pull(FIRST)
  const before = await diskUsage(bed)
  const second = await pull(SECOND)
  const added = (await diskUsage(bed)) - before
  const closure = await bed.run('sh', [
    '-c',
    'du -sc --block-size=1 $(nix-store -qR /nix/store/*-package-set) | tail -n 1',
    'sh',
  ])
  process.stderr.write(
    `  ${layers}: ${second} adds ${added} bytes; both images together have ${closure.stdout.trim()}\n`,
  )
  return added / (Number.parseInt(closure.stdout, 10) * (FIRST.length / (FIRST.length + 1)))
}

/** Packages with dependencies, some of which several packages share. */
async function writePackageSet(bed: Bed): Promise<string> {
  const dir = join(bed.dir, 'packages')
  await mkdir(dir)
  await chmod(dir, 0o755)
  const flake = `{
  outputs = _: let
    run = name: needs: derivation {
      inherit name needs;
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-c" "mkdir -p $out/bin; yes $name | head -c 300000 > $out/bin/$name; echo $needs > $out/needs" ];
    };
    numbers = builtins.genList (n: n);
    common = map (n: run "common-\${toString n}" [ ]) (numbers 20);
    package = name: run name (common ++ map (n: run "\${name}-part-\${toString n}" common) (numbers 12));
  in {
    legacyPackages.${hostSystem()} = builtins.listToAttrs (map (name: { inherit name; value = package name; }) [ ${[...FIRST, ...SECOND].map(name => `"${name}"`).join(' ')} ]);
  };
}
`
  await writeFile(join(dir, 'flake.nix'), flake)
  return dir
}
