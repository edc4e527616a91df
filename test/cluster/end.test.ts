import { spawn } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import * as v from 'valibot'
import { expect, test, vi } from 'vitest'
import { expectNoTrace } from '../node/no-trace.ts'
import { PATIENT } from '../patience.ts'

const Held = v.object({ dirs: v.array(v.string()), address: v.string() })

test('a cluster leaves nothing behind if its owner is killed while a pod runs', async () => {
  const owner = spawn(process.execPath, [join(import.meta.dirname, 'hold-cluster.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { dirs, address } = v.parse(Held, JSON.parse(await firstLine(owner.stdout)))
  expect(dirs.every(dir => existsSync(dir))).toBe(true)
  expect(routes()).toContain(address)
  const cgroups = cgroupsOfPods(dirs)
  expect(cgroups).not.toEqual([])
  owner.kill('SIGKILL')
  await vi.waitFor(() => dirs.forEach(expectNoTrace), PATIENT)
  expect(cgroups.filter(path => existsSync(path))).toEqual([])
  await vi.waitFor(() => expect(routes()).not.toContain(address), PATIENT)
})

/** What containerd has made for the pods of a kubelet, whose names do not say to which bed they belong. */
function cgroupsOfPods(beds: readonly string[]): string[] {
  const patterns = beds.map(dir => join(dir, 'containerd/state/io.containerd.runtime.v2.task/k8s.io/*'))
  const ids = globSync(patterns).map(path => basename(path))
  return ids.flatMap(id => globSync([`/sys/fs/cgroup/k8s.io/${id}`, `/sys/fs/cgroup/*/k8s.io/${id}`]))
}

/** The destinations of the machine's routes in dotted form. */
function routes(): string[] {
  const lines = readFileSync('/proc/net/route', 'utf8').trim().split('\n').slice(1)
  return lines.map(line => {
    const [, destination = ''] = line.split('\t')
    return [...Buffer.from(destination, 'hex')].toReversed().join('.')
  })
}

async function firstLine(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(output)) return line
  throw new Error('it ended')
}
