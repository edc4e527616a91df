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

/** A package's `passthru.imageConfig`, with the keys of an OCI image's config. A key that is null counts as set. */
export type PackageConfig = v.InferOutput<typeof schema>

/** Checks `passthru.imageConfig`. Throws NotAnImage that names the wrong key. */
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

/** The config of the image: defaults, overridden by the package; the order of keys is always the same. */
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

/** No image can be made of the package. `reason` continues "no image can be made of the package: ". */
export function packageRefusal(reason: string, cause?: unknown): FinalError {
  return new FinalError('NotAnImage', `no image can be made of the package: ${reason}`, { cause })
}
