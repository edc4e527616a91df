import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hostPlatform } from '../shim/import/image/config.ts'
import type { Bed } from '../test/node/bed.ts'
import { writeFlake } from './node.ts'

/** A flake, and the phases of its run in which it does its worst. */
export interface Attack {
  readonly flake: string
  readonly phases: readonly string[]
}

/** Two processors' worth of work that says nothing. */
export async function honestBuild(bed: Bed): Promise<Attack> {
  return { flake: await writeFlake(bed, 'honest', 'while :; do :; done & while :; do :; done'), phases: ['building'] }
}

/** By what does its worst. */
export async function hostileRuns(bed: Bed): Promise<Record<string, Attack>> {
  return {
    // It says that it fetches.
    builder: { flake: await writeFlake(bed, 'flood', FLOOD), phases: ['building', 'fetching'] },
    evaluation: { flake: await writeTraces(bed), phases: ['evaluating'] },
    archive: { flake: await writeFlake(bed, 'bomb', BOMB), phases: ['importing'] },
  }
}

const RECORDS = [
  '@nix {"action":"start","id":1,"level":4,"type":101,"text":"","fields":["http://x"]}',
  '@nix {"action":"result","id":1,"type":105,"fields":[1,2,0,0]}',
  '@nix {"action":"start","id":2,"level":4,"type":101,"text":"","fields":["http://y"]}',
  '@nix {"action":"msg","level":0,"msg":"error: unable to download: HTTP error 503"}',
  `a line with escapes \\033[31m${'\\033]'.repeat(200)}`,
  `a long line ${'x'.repeat(60_000)}`,
]

/** Two processes that write as fast as they are read. */
const FLOOD = `printf '${RECORDS.map(line => line.replaceAll('%', '%%')).join('\\n')}\\n' > lines; flood() { while :; do for n in 1 2 3 4 5 6 7 8 9; do cat lines lines lines lines; done; done; }; flood & flood`

/** An archive with a layer of 20 MB that decompresses to 19 GB. */
const BOMB = `dd if=/dev/zero bs=1M count=100 | gzip -9 > member
for n in $(seq 180); do cat member; done > layer.tar.gz
printf '{"architecture":"${hostPlatform().architecture}","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%064d"]}}' 0 > config.json
printf '[{"Config":"config.json","RepoTags":null,"Layers":["layer.tar.gz"]}]' > manifest.json
tar cf $out layer.tar.gz config.json manifest.json`

/** An evaluation that tells of each of its steps, at length. */
async function writeTraces(bed: Bed): Promise<string> {
  const dir = await writeFlake(bed, 'traces', 'exit 1')
  const text = `@nix {\\"action\\":\\"result\\"} \${builtins.fromJSON "\\"\\\\u001b]\\""} ${'x'.repeat(20_000)}`
  const flake = `{
  outputs = _: let
    times = count: step: builtins.foldl' step 0 (builtins.genList (n: n) count);
    say = _: n: builtins.trace "${text}" n;
  in {
    packages = times 10000 (_: _: times 10000 say);
  };
}
`
  await writeFile(join(dir, 'flake.nix'), flake)
  return dir
}
