import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type Bed, startBed } from '../../node/bed.ts'
import { untilLogged } from '../pull/builds.ts'

async function addStorePath(bed: Bed): Promise<void> {
  await writeFile(`${bed.dir}/path`, 'content')
  await bed.run('nix-store', ['--add', `${bed.dir}/path`])
}

test('a shim logs at its start that layers are linked, once containerd answers, and leaves nothing in it', async () => {
  await using bed = await startBed({ without: ['containerd'] })
  await addStorePath(bed)
  const shim = await bed.startShim({ wait: false })
  await untilLogged(shim, 'serving')
  await bed.containerd.start()
  await untilLogged(shim, 'layers of store paths are linked', '"how":"by hard links')
  const ctr = ['--address', bed.containerdSocket, '--namespace', 'k8s.io']
  for (const things of ['snapshots', 'leases'])
    expect((await bed.run('ctr', [...ctr, things, 'ls'])).stdout.trim().split('\n')).toHaveLength(1)
})

test('a shim logs at its start why layers are not linked', async () => {
  await using bed = await startBed()
  await addStorePath(bed)
  const shim = await bed.startShim({ config: { containerd: { address: bed.containerdSocket, snapshotter: 'native' } } })
  await untilLogged(shim, 'layers of store paths cannot be linked: real tars are made of them', 'snapshotter is native')
})
