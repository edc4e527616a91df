import type { Bed } from '../test/node/bed.ts'

const LIMIT_MS = 600_000

/** containerd deletes files in the background, and du fails if a file disappears. */
const SETTLED = 'until du -sx --block-size=1 /nix "$1" 2>/dev/null; do sleep 0.1; done'

/** Bytes that containerd's files take in addition to the store. Hard links to store files count nothing. */
export async function diskUsage(bed: Bed): Promise<number> {
  const { stdout } = await bed.run('sh', ['-c', SETTLED, 'sh', bed.containerdRoot], { limitMs: LIMIT_MS })
  return Number.parseInt(stdout.trim().split('\n').at(-1) ?? '', 10)
}
