import { expect, it } from 'vitest'
import { apiError, readApiStatus } from '../../../../kube/client/api-error.ts'
import type { Kube } from '../../../../kube/client/contract.ts'
import { pods } from '../../../../kube/resources/pod.ts'
import { createSystemReader } from '../../../../shim/kubectl/pod/pod-system.ts'

const metadata = { name: 'web', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
const NODE = { metadata: { ...metadata, labels: { 'kubernetes.io/arch': 'arm64' } } }
const NIX_NODE = { metadata, status: { system: 'x86_64-linux' } }
const SIGNAL = new AbortController().signal

/** What a user reads of the nodes, by kind. A number is the HTTP status of a refusal. */
type Answers = Readonly<Record<string, object | number>>

function readerOf(answers: Answers) {
  const asked: string[] = []
  const get: Kube['get'] = async ({ kind, parse }, { name }) => {
    asked.push(`${kind} ${name}`)
    const answer = answers[kind]
    if (typeof answer === 'number') throw apiError(`get ${name}`, readApiStatus(answer, ''))
    return answer && parse(answer)
  }
  return { read: createSystemReader({ kube: { get } }), asked }
}

function podOn(nodeName: string | undefined, nodeSelector: object = {}) {
  return pods.parse({ metadata, spec: { ...(nodeName && { nodeName }), nodeSelector } })
}

const ON_ARM = { 'kubernetes.io/arch': 'arm64' }

it.each<[from: string, answers: Answers, selector: object, system: string | undefined]>([
  ['its NixNode', { NixNode: NIX_NODE, Node: NODE }, {}, 'x86_64-linux'],
  ['its Node if there is no NixNode', { Node: NODE }, {}, 'aarch64-linux'],
  ['its Node if its shim has said nothing', { NixNode: { metadata }, Node: NODE }, {}, 'aarch64-linux'],
  ['its Node if the user may not read NixNodes', { NixNode: 403, Node: NODE }, {}, 'aarch64-linux'],
  ['the node selector if the user may read neither', { NixNode: 403, Node: 403 }, ON_ARM, 'aarch64-linux'],
  ['nothing else', { NixNode: 403, Node: 403 }, {}, undefined],
])('the system of a pod on a node comes from %s', async (_, answers, selector, system) => {
  expect(await readerOf(answers).read(podOn('node-1', selector), SIGNAL)).toBe(system)
})

it('the system of a pod without a node comes from its node selector', async () => {
  const { read, asked } = readerOf({ NixNode: NIX_NODE })
  expect(await read(podOn('node-1'), SIGNAL)).toBe('x86_64-linux')
  expect(await read(podOn(undefined), SIGNAL)).toBeUndefined()
  expect(await read(podOn(undefined, ON_ARM), SIGNAL)).toBe('aarch64-linux')
  expect(await read(podOn('node-1'), SIGNAL)).toBe('x86_64-linux')
  expect(asked).toEqual(['NixNode node-1'])
})

it('a node that has not said its system yet is asked again', async () => {
  const answers: Record<string, object | number> = { NixNode: { metadata }, Node: { metadata } }
  const { read } = readerOf(answers)
  expect(await read(podOn('node-1'), SIGNAL)).toBeUndefined()
  answers.NixNode = NIX_NODE
  expect(await read(podOn('node-1'), SIGNAL)).toBe('x86_64-linux')
})

it('an API server that is away says nothing about the system of a node', async () => {
  await expect(readerOf({ NixNode: 503 }).read(podOn('node-1'), SIGNAL)).rejects.toMatchObject({ code: 'ClusterAway' })
})
