import type { Bed } from '../test/node/bed.ts'

const LIMIT_MS = 600_000

/** Names of all image records, those that stand for image ids included. */
export async function listImages(bed: Bed): Promise<string[]> {
  const { stdout } = await ctrImages(bed, ['ls', '-q'])
  return stdout.split('\n').filter(name => name !== '')
}

/** Resolves when containerd has also deleted what only these images hold. */
export async function removeImages(bed: Bed, names: readonly string[]): Promise<void> {
  await ctrImages(bed, ['rm', '--sync', ...names])
}

function ctrImages(bed: Bed, args: readonly string[]) {
  const all = ['--address', bed.containerdSocket, '--namespace', 'k8s.io', 'images', ...args]
  return bed.run('ctr', all, { limitMs: LIMIT_MS })
}
