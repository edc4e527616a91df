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
  await vi.waitFor(() => expect(output).toContain('alias kubectl='), PATIENT)
  expect(output).toMatch(/NixBuildSucceeded: .*Running on its first pull.*Hello from a container/s)
  expect(output).toMatch(/^ +hello-\w+ .* Succeeded +node-1 /m)
  expect(output).not.toMatch(/Failed|BackOff/)
  const [lines = '', dir = ''] = /export KUBECONFIG=(.*)\/kubeconfig.*\n.*alias.*\n/.exec(output) ?? []
  const { stdout } = await execa('sh', ['-c', `${lines}kubectl describe pod hello`], { env: { KUBECACHEDIR: dir } })
  expect(stdout).toMatch(/ImageBuilt\s+True/)

  demo.kill('SIGINT')
  expect((await demo).exitCode).toBe(0)
  const dirs = new Set(output.match(/[^ =:]*\/enbi-\w{6}(?=\/)/g))
  expect(dirs.size).toBe(2) // the control plane's and the node's
  for (const one of dirs) expectNoTrace(one)
})
