import { chmod, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostSystem } from '../../recipes/system.ts'

/**
 * Writes a flake for builds without a sandbox and returns its URL. Its package `image` is an expression that may use
 * `make NAME ENVIRONMENT SCRIPT` and the files beside it.
 */
export async function writeMadeFlake(
  parent: string,
  image: string,
  files: Readonly<Record<string, string | Buffer>> = {},
): Promise<string> {
  const dir = await mkdtemp(join(parent, 'flake-'))
  await chmod(dir, 0o755)
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  await writeFile(
    join(dir, 'flake.nix'),
    `{
  outputs = _: let
    make = name: environment: script: derivation ({
      inherit name;
      system = "${hostSystem()}";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-euc" script ];
    } // environment);
  in {
    packages.${hostSystem()}.image = ${image};
  };
}
`,
  )
  return `path:${dir}`
}

/** Writes a flake whose package `image` is an archive, or a folder with the archive's content. */
export function writeArchiveFlake(parent: string, archive: Buffer, form: 'file' | 'folder' = 'file'): Promise<string> {
  const script = form === 'file' ? 'cp $archive $out' : 'mkdir $out; tar -xf $archive -C $out'
  return writeMadeFlake(parent, `make "archive" { archive = "\${./archive.tar}"; } "${script}"`, {
    'archive.tar': archive,
  })
}
