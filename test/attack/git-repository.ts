import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bed } from '../node/bed.ts'

export interface GitRepository {
  readonly dir: string
  /** `git+file:///…` */
  readonly url: string
  git(...args: readonly string[]): Promise<string>
  /** Writes files and commits everything. Returns the commit. */
  commit(files: Readonly<Record<string, string>>): Promise<string>
}

/** A repository in a bed that root owns, with the branch main. */
export async function makeRepository(bed: Bed, name: string): Promise<GitRepository> {
  const dir = join(bed.dir, name)
  await mkdir(dir)
  const identity = ['-c', 'user.name=x', '-c', 'user.email=x@x.example']
  const git = async (...args: readonly string[]) => (await bed.run('git', ['-C', dir, ...identity, ...args])).stdout
  await git('init', '--quiet', '--initial-branch=main')
  return {
    dir,
    url: `git+file://${dir}`,
    git,
    async commit(files) {
      for (const [file, text] of Object.entries(files)) await writeFile(join(dir, file), text)
      await git('add', '--all')
      await git('commit', '--quiet', '--allow-empty', '--message=x')
      return git('rev-parse', 'HEAD')
    },
  }
}

/** A flake whose package `app` is a file with the text. `outputs` may add packages. */
export function flakeOf(text: string, outputs = ''): string {
  return `{
    outputs = { self }: {
      packages.x86_64-linux = {
        app = derivation {
          name = "app"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo ${text} > $out" ];
        };
        ${outputs}
      };
    };
  }`
}

/** A program that leaves a trace and then runs the program that it replaces. */
export interface Tattler {
  readonly command: string
  /** One word for each time that it was run. */
  traces(): Promise<string>
}

/** `command` takes a word as its argument and passes its input on. Every user can write the trace. */
export async function makeTattler(bed: Bed): Promise<Tattler> {
  const command = join(bed.dir, 'tattler')
  const trace = join(bed.dir, 'trace')
  await writeFile(command, `#!/bin/sh\necho "$1" >> ${trace}\ncat\n`, { mode: 0o755 })
  await writeFile(trace, '')
  await chmod(trace, 0o666)
  return { command, traces: async () => (await bed.run('cat', [trace])).stdout }
}
