import * as v from 'valibot'
import type { Bed } from '../test/node/bed.ts'

const LIMIT_MS = 300_000

/** What the commands take in a shell inside of the bed, in ms, without the start of that shell. `$1`, `$2` … are the arguments. */
export async function scriptTime(bed: Bed, commands: string, args: readonly string[]): Promise<number> {
  const script = `set -eu\nstart=$(date +%s%N)\n${commands}\nend=$(date +%s%N)\necho $(((end - start) / 1000))`
  const { stdout } = await bed.run('sh', ['-c', script, 'sh', ...args], { limitMs: LIMIT_MS })
  return v.parse(microseconds, stdout) / 1000
}

const microseconds = v.pipe(v.string(), v.trim(), v.digits(), v.transform(Number))
