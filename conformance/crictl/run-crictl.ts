import { join } from 'node:path'
import { startPackagedShim } from '../../bench/fixtures/node.ts'
import type { Bed } from '../../test/node/bed.ts'
import { CRI_TOOLS } from '../../test/setup/go/programs.mjs'
import { makeBusyboxLayer } from '../registry/busybox-layer.ts'
import { type Image, makeImage } from '../registry/image.ts'
import { startNodeWithRegistry } from '../registry/node-with-registry.ts'
import type { Registry } from '../registry/registry.ts'
import { type Answer, differingParts } from './compare-answers.ts'
import { ACCOUNT, makeQuestions, OTHER, PLAIN, PRIVATE, type Question } from './questions.ts'

const CRICTL = join(CRI_TOOLS.dir, 'crictl')

/** One question and how it was answered. */
export interface Compared {
  readonly command: string
  readonly exitCode: number
  /** What differs through the shim: exit code, output or errors. */
  readonly differs: readonly string[]
}

/** Asks every question twice: of containerd, and through a shim. */
export async function runCrictl(): Promise<Compared[]> {
  await using node = await startNodeWithRegistry()
  const { bed, registry } = node
  // A program that does not run would give the same answer both times.
  await bed.run(CRICTL, ['--version'])
  const [privateHost = ''] = PRIVATE.split('/')
  const privateRegistry = await node.addPrivateRegistry(privateHost, ACCOUNT)
  const layer = await makeBusyboxLayer()
  const plain = makeImage([layer], { Labels: { name: 'plain' } })
  const other = makeImage([layer], { Labels: { name: 'other' } })
  await pushTo(registry, PLAIN, plain)
  await pushTo(registry, OTHER, other)
  await pushTo(privateRegistry, PRIVATE, other)
  const shim = await startPackagedShim(bed)
  const compared: Compared[] = []
  for (const question of makeQuestions({ digest: plain.manifest.digest, id: plain.blobs[0]?.digest ?? '' })) {
    process.stderr.write(`crictl ${question.args.join(' ')}\n`)
    compared.push(await compare(bed, question, shim.socket))
  }
  return compared
}

async function pushTo(registry: Registry, reference: string, image: Image): Promise<void> {
  const [, name = '', tag = ''] = reference.split(/[/:]/)
  await registry.push(name, tag, image)
}

/** containerd measures its file system every ten seconds, and may do so between two questions. */
const TRIES = 3

async function compare(bed: Bed, question: Question, socket: string): Promise<Compared> {
  const command = ['crictl', ...question.args].join(' ')
  for (let tries = 1; ; tries += 1) {
    const direct = await askAfter(bed, question, bed.containerdSocket)
    const differs = differingParts(direct, await askAfter(bed, question, socket))
    if (differs.length === 0 || tries === TRIES) return { command, exitCode: direct.exitCode ?? -1, differs }
  }
}

async function askAfter(bed: Bed, { args, before = [] }: Question, socket: string): Promise<Answer> {
  for (const command of before) await ask(bed, command, bed.containerdSocket)
  return await ask(bed, args, socket)
}

async function ask(bed: Bed, args: readonly string[], socket: string): Promise<Answer> {
  const endpoints = ['--runtime-endpoint', `unix://${socket}`, '--image-endpoint', `unix://${socket}`]
  const { stdout, stderr, exitCode } = await bed.run(
    CRICTL,
    ['--config', '/dev/null', '--timeout', '30s', ...endpoints, ...args],
    { reject: false },
  )
  return { stdout, stderr, exitCode }
}
