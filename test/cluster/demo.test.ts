import { join } from 'node:path'
import { execa } from 'execa'
import { expect, test, vi } from 'vitest'
import { expectNoTrace } from '../node/no-trace.ts'
import { PATIENT } from '../patience.ts'

const DEMO = join(import.meta.dirname, 'demo.ts')

test('the demo brings a pod to Running on its first pull, runs until it is interrupted, and leaves nothing behind', async () => {
  const demo = execa(process.execPath, [DEMO, '--keep'], { all: true, reject: false })
  let output = ''
  demo.all.on('data', text => {
    output += text
  })
  await vi.waitFor(() => expect(output).toContain('KUBECONFIG='), PATIENT)
  expect(output).toMatch(/NixBuildSucceeded: .*Running on its first pull.*Hello from a container/s)
  expect(output).not.toMatch(/Failed|BackOff/)
  const [line = '', dir = ''] = /KUBECONFIG=(.*)\/kubeconfig.*/.exec(output) ?? []
  const { stdout } = await execa('sh', ['-c', line], { env: { KUBECACHEDIR: dir } })
  expect(stdout).toMatch(/ImageBuilt\s+True/)

  demo.kill('SIGINT')
  expect((await demo).exitCode).toBe(0)
  const dirs = new Set(output.match(/[^ =:]*\/enbi-\w{6}(?=\/)/g))
  expect(dirs.size).toBe(2) // the control plane's and the node's
  for (const one of dirs) expectNoTrace(one)
})
