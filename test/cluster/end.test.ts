import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
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
  owner.kill('SIGKILL')
  await vi.waitFor(() => dirs.forEach(expectNoTrace), PATIENT)
  await vi.waitFor(() => expect(routes()).not.toContain(address), PATIENT)
})

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
