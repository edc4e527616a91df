// `npm run demo`: builds a pod's image on pull, on a node that is removed afterwards.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { execa } from 'execa'
import * as v from 'valibot'
import { parse, stringify } from 'yaml'
import { annotationName } from '../../recipes/annotations.ts'
import { type Bed, startBed } from './bed.ts'
import { copyExample, lockExample } from './example.ts'
import type { Shim } from './shim.ts'

const INTERRUPTED = 130
const MAIN = join(import.meta.dirname, '../../shim/main.ts')
const POLICY = [{ namespaces: ['*'], images: ['**'], flakes: ['path:/**', 'packages:path:/**'] }]
const SCRIPT = `echo '"bash and jq in one image that nobody has described"' | jq .`
const POD = join(import.meta.dirname, '../../examples/hello/pod.yaml')

const Pod = v.object({
  metadata: v.object({ annotations: v.record(v.string(), v.string()) }),
  spec: v.object({ containers: v.tuple([v.object({ image: v.string() })]) }),
})

// These listeners are never removed. If only execa listened, its handler would end this process immediately.
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted.abort())

try {
  await show(interrupted.signal)
  say('Done', 'nothing of the node is left')
} catch (error) {
  if (!interrupted.signal.aborted) throw error
  console.log('interrupted: everything has been removed')
  process.exitCode = INTERRUPTED
}

async function show(signal: AbortSignal): Promise<void> {
  await using bed = await startNode(signal)
  const rule = await nameRule(bed)
  const shim = await bed.startShim({ config: { names: [rule], policy: POLICY } })
  const pull = await readPull(bed)
  signal.throwIfAborted()

  say('A pod wants an image that no registry has', 'examples/hello/pod.yaml')
  console.log(indent(stringify({ annotations: pull.annotations }, { lineWidth: 0 })))
  await pullWithProgress(pull, shim)
  signal.throwIfAborted()
  await runContainer(bed, { image: pull.image })
  await pullAgain(bed, pull, shim)
  signal.throwIfAborted()

  say('Another pod names only an image', 'its name is the recipe, by a rule of the node')
  console.log(indent(stringify({ names: [rule] }, { lineWidth: 0 })))
  await pullByName(bed, shim, signal)
}

/** Maps each segment of an image name to a package of the example's set. */
async function nameRule(bed: Bed) {
  const { url } = await lockExample(await copyExample('packages', bed.dir), bed.run)
  return { images: 'nix.local/pkgs/{contents}', packages: url }
}

async function startNode(signal: AbortSignal): Promise<Bed> {
  say('Starting a node', 'containerd, nix-daemon and enbi-shim of its own, with a private /nix')
  const bed = await startBed()
  try {
    signal.throwIfAborted()
    const { runtimeName, runtimeVersion } = await bed.cri().version()
    const nix = await bed.run('nix', ['--version'])
    console.log(indent(`${runtimeName} ${runtimeVersion}, ${nix.stdout}, in ${bed.dir}`))
    return bed
  } catch (error) {
    await bed[Symbol.asyncDispose]()
    throw error
  }
}

interface Pull {
  readonly image: string
  readonly annotations: Readonly<Record<string, string>>
  readonly flakeUrl: string
  readonly packageName: string
}

/** The pull of the example's pod, with a flake URL that points to a copy on the node. */
async function readPull(bed: Bed): Promise<Pull> {
  const { metadata, spec } = v.parse(Pod, parse(await readFile(POD, 'utf8')))
  const { url } = await lockExample(await copyExample('hello', bed.dir), bed.run)
  const annotations = { ...metadata.annotations, [annotationName('flakeUrl')]: url }
  const packageName = metadata.annotations[annotationName('packageName')] ?? ''
  return { image: spec.containers[0].image, annotations, flakeUrl: url, packageName }
}

/** Runs `enbi-shim pull` in a separate process like a user, so that it shows live progress in a terminal. */
async function pullWithProgress({ image, flakeUrl, packageName }: Pull, shim: Shim): Promise<void> {
  say('The node pulls it', 'enbi-shim pull, which asks as the kubelet does')
  await pullInTerminal([image, '--flake', flakeUrl, '--package', packageName], shim)
}

async function pullInTerminal(args: readonly string[], { socket }: Shim): Promise<void> {
  await execa(process.execPath, [MAIN, 'pull', ...args, '--socket', socket], { stdio: 'inherit' })
}

async function pullByName(bed: Bed, shim: Shim, signal: AbortSignal): Promise<void> {
  const image = 'nix.local/pkgs/shell/jq'
  say('The node pulls it', image)
  await pullInTerminal([image], shim)
  signal.throwIfAborted()
  await runContainer(bed, { image, command: ['/bin/bash', '-c', SCRIPT] })
}

interface Container {
  readonly image: string
  readonly command?: readonly string[]
}

async function runContainer(bed: Bed, { image, ...pod }: Container): Promise<void> {
  say('The container runs', `containerd starts ${image}`)
  const { output, exitCode } = await bed.runPod({ imageId: image, ...pod })
  console.log(indent(output))
  if (exitCode !== 0) throw new Error(`the container ended with ${exitCode}`)
}

async function pullAgain(bed: Bed, { image, annotations }: Pull, shim: Shim): Promise<void> {
  say('A second pod pulls the same image', 'no build, no import')
  const cri = bed.cri(shim.socket)
  await cri.imageStatus(image) // the connection is there, as a kubelet's is
  const start = performance.now()
  const id = await cri.pullImage({ image, annotations })
  console.log(indent(`${id} after ${(performance.now() - start).toFixed(1)} ms`))
}

function say(title: string, detail: string): void {
  console.log(`\n${styleText('bold', title)} – ${detail}`)
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ')
}
