import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import type { Bed } from '../node/bed.ts'

/** A flake URL as Nix parses it: `type` and the attributes of that type. */
export type Attributes = v.InferOutput<typeof attributesSchema>

/** By the index of the URL. URLs that Nix rejects are missing. */
export type Answers = ReadonlyMap<number, Attributes>

/** Asks one version of Nix how it parses URLs, without fetching anything. */
export type AskNix = (bed: Bed, nix: string, urls: readonly string[]) => Promise<Answers>

const attributesSchema = v.object({
  type: v.string(),
  ...v.entriesFromList(['owner', 'repo', 'host', 'id', 'url', 'path', 'rev', 'ref', 'narHash'], v.optional(v.string())),
})
const registrySchema = v.object({ flakes: v.tuple([v.object({ to: attributesSchema })]) })

const FEATURES = ['--extra-experimental-features', 'nix-command flakes verified-fetches']

const ADD_EACH = `
while IFS= read -r url; do
  i=$((\${i:--1} + 1))
  "$1" registry add --registry "$2/$i" x "$url" "$3" "$4"
done <"$2/urls" >/dev/null 2>&1`

/** Nix 2.8 shows parsed URLs only in registries. Each URL needs a process of its own, about 30 ms. */
export const askByRegistry: AskNix = async (bed, nix, urls) => {
  const dir = await mkdtemp(join(bed.dir, 'registries-'))
  await writeFile(join(dir, 'urls'), urls.map(url => `${url}\n`).join(''))
  await bed.run('sh', ['-c', ADD_EACH, 'sh', nix, dir, ...FEATURES], { limitMs: limitMs(urls), reject: false })
  const answers = new Map<number, Attributes>()
  for (const index of urls.keys()) {
    const answer = await readFile(join(dir, String(index)), 'utf8').catch(() => undefined)
    if (answer !== undefined) answers.set(index, v.parse(registrySchema, JSON.parse(answer)).flakes[0].to)
  }
  return answers
}

/** Nix 2.13 and newer have a function for it. In a REPL, an error at one URL does not stop the others. */
export const askByFunction: AskNix = async (bed, nix, urls) => {
  const lines = urls.map((url, index) => {
    return `"${index} " + builtins.toJSON (builtins.parseFlakeRef ${JSON.stringify(url)})\n`
  })
  const input = lines.join('')
  const { stdout } = await bed.run(nix, ['repl', ...FEATURES], { input, limitMs: limitMs(urls) })
  return new Map(
    Array.from(stdout.matchAll(/"(\d+) (\{.*\})"/g), ([, index, answer]) => {
      return [Number(index), v.parse(attributesSchema, JSON.parse(JSON.parse(`"${answer}"`)))] as const
    }),
  )
}

function limitMs(urls: readonly string[]): number {
  return 30_000 + urls.length * 200
}
