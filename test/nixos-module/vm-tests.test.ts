import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseConfig } from '../../shim/config/config.ts'
import { type Bed, startBed } from '../node/bed.ts'
import { evaluateNix } from './evaluate.ts'

const machine = v.strictObject({
  assertions: v.array(v.string()),
  warnings: v.array(v.string()),
  kubelet: v.record(v.string(), v.unknown()),
  k3s: v.array(v.string()),
  policy: v.array(v.unknown()),
})
const vmTest = v.strictObject({
  name: v.string(),
  testScript: v.string(),
  machines: v.strictObject({ machine }),
})
const twoNodes = v.strictObject({ ...vmTest.entries, machines: v.strictObject({ one: machine, other: machine }) })
const vmTests = v.strictObject({ kubelet: vmTest, k3s: vmTest, share: twoNodes })

let bed: Bed
let tests: v.InferOutput<typeof vmTests>

beforeAll(async () => {
  bed = await startBed({ without: ['containerd', 'nix'], daemon: false })
  tests = v.parse(vmTests, await evaluateNix(bed, join(import.meta.dirname, 'vm-tests.nix')))
})
afterAll(async () => bed?.[Symbol.asyncDispose]())

test.each(['kubelet', 'k3s'] as const)(
  'the machine of the virtual machine test %s causes no assertion and no warning',
  name => {
    const { assertions, warnings, policy } = tests[name].machines.machine
    expect({ assertions, warnings }).toEqual({ assertions: [], warnings: [] })
    expect(parseConfig(JSON.stringify({ policy }), name).policy).toHaveLength(1)
  },
)

test('the machines of the virtual machine test share cause no assertion', () => {
  const { one, other } = tests.share.machines
  expect([one.assertions, other.assertions]).toEqual([[], []])
})

test('the virtual machine tests each cover a kubelet that the module connects to the shim', () => {
  const imageServiceEndpoint = 'unix:///run/enbi-shim/enbi-shim.sock'
  expect(tests.kubelet.machines.machine.kubelet).toMatchObject({ imageServiceEndpoint })
  expect(tests.k3s.machines.machine.k3s).toEqual([`--image-service-endpoint=${imageServiceEndpoint}`])
})

test.each(['kubelet', 'k3s', 'share'] as const)(
  'the script of the virtual machine test %s is valid Python',
  async name => {
    const { testScript } = tests[name]
    const compile = 'import sys; compile(sys.stdin.read(), "testScript", "exec")'
    await expect(bed.run('python3', ['-c', compile], { input: testScript })).resolves.toMatchObject({ stderr: '' })
    expect(testScript.match(/^with subtest\(/gm)?.length).toBeGreaterThanOrEqual(name === 'share' ? 3 : 6)
  },
)
