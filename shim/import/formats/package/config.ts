import * as v from 'valibot'
import { FinalError } from '../../../../lib/errors.ts'
import { quote } from '../../../../lib/text/quote.ts'

/** Source: OCI image specification, config.md. */
const text = v.pipe(
  v.string(),
  v.check(value => value.isWellFormed() && !value.includes('\0'), 'expected text without NUL'),
)
const words = v.nullish(v.array(text))
const names = v.nullish(v.record(text, v.strictObject({})))
const variable = v.pipe(text, v.regex(/^[^=]+=/, 'expected NAME=value'))
const entries = {
  Entrypoint: words,
  Cmd: words,
  Env: v.nullish(v.array(variable)),
  ExposedPorts: names,
  Labels: v.nullish(v.record(text, text)),
  StopSignal: v.nullish(text),
  User: v.nullish(text),
  Volumes: names,
  WorkingDir: v.nullish(text),
}
const schema = v.strictObject(entries)

/** What a package says about its image, keys as in an OCI image's config. A key that is null counts as said. */
export type PackageConfig = v.InferOutput<typeof schema>

/** Checks `passthru.imageConfig`. Throws NotAnImage that names the key. */
export function readPackageConfig(imageConfig: Readonly<Record<string, unknown>>): PackageConfig {
  const unknown = Object.keys(imageConfig).find(key => !Object.hasOwn(entries, key))
  if (unknown !== undefined)
    throw packageRefusal(
      `passthru.imageConfig has a key ${quote(unknown)} (expected ${Object.keys(entries).join(', ')})`,
    )
  const result = v.safeParse(schema, imageConfig)
  if (result.success) return result.output
  const [issue] = result.issues
  throw packageRefusal(`passthru.imageConfig is not as expected at ${v.getDotPath(issue)}: ${issue.message}`)
}

/** Lays what the package says over what it gets by itself; always with the same order of keys. */
export function layOver(config: PackageConfig, entrypoint: string | undefined): Readonly<Record<string, unknown>> {
  const whole: PackageConfig = {
    ...(entrypoint !== undefined && { Entrypoint: [entrypoint] }),
    ...config,
    Env: withPath(config.Env ?? []),
  }
  const given = Object.entries(whole).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(given.sort(([one], [other]) => (one < other ? -1 : 1)))
}

function withPath(env: readonly string[]): string[] {
  return env.some(entry => entry.startsWith('PATH=')) ? [...env] : ['PATH=/bin', ...env]
}

/** The package is none that an image can be made of. `reason` goes on from "no image can be made of the package: ". */
export function packageRefusal(reason: string, cause?: unknown): FinalError {
  return new FinalError('NotAnImage', `no image can be made of the package: ${reason}`, { cause })
}
