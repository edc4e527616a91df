import { extname } from 'node:path'
import * as v from 'valibot'
import { type ErrorCode, FinalError, isErrorCode } from '../../../lib/errors.ts'
import { packageHintsSchema } from '../../../recipes/built-package.ts'
import { describeWork, type Recipe } from '../../../recipes/recipe.ts'
import { buildProgressSchema } from '../log/build-progress.ts'
import { storePathSchema } from '../store/path-info.ts'
import { buildResultSchema } from '../store/results.ts'

/** The helper's program, as source or compiled. */
export const BUILD_HELPER = new URL(`./build-helper${extname(import.meta.url)}`, import.meta.url)

const text = v.string()
const env = v.record(text, text)

const flake = v.strictObject({
  url: text,
  scheme: text,
  source: text,
  local: v.boolean(),
  locked: v.boolean(),
  content: v.exactOptional(v.strictObject({ narHash: text, url: text })),
})

const recipe = v.union([
  v.strictObject({ image: text, flake, packageName: text, system: text }),
  v.strictObject({ image: text, flake, contents: v.pipe(v.array(text), v.readonly()), system: text }),
  v.strictObject({ image: text, storePath: text }),
])

/** What an evaluation has found, so that another helper can continue the run. */
export const evaluatedSchema = v.strictObject({
  runId: v.pipe(text, v.maxLength(255)),
  /** The output, which every node computes by itself. */
  storePath: storePathSchema,
  /** Whether the derivation says which content the output has. */
  isFixed: v.boolean(),
  /** Not locked if nobody asks which content it has, or nix does not tell. */
  flake,
  derivation: v.object({
    drvPath: text,
    output: text,
    nixVersion: text,
    package: v.exactOptional(packageHintsSchema),
  }),
})
export type Evaluated = v.InferOutput<typeof evaluatedSchema>

const copyOrder = v.strictObject({
  url: text,
  /** Name of the node whose binary cache it is; missing if the config names the URL. */
  node: v.exactOptional(text),
  timeoutMs: v.number(),
  /** File with the key that this node signs with: the Nix daemon trusts it, but does not show it. */
  ownKeyFile: v.exactOptional(text),
})
export type CopyOrder = v.InferOutput<typeof copyOrder>

const pushOrder = v.strictObject({ storePath: storePathSchema, url: text, timeoutMs: v.number() })
export type PushOrder = v.InferOutput<typeof pushOrder>

/** The job of a build helper. Unknown keys are errors, so that no part of a recipe is lost. */
export const jobSchema = v.strictObject({
  recipe,
  /** The recipe's package, already built, if it is a program that Nix must run. If missing, the recipe is built. */
  program: v.exactOptional(
    v.strictObject({ path: text, storePath: text, shell: v.strictObject({ path: text, argument: text }) }),
  ),
  /**
   * For an unlocked flake. A lock: builds this content, unless it is gone. `current`: what the flake has now. If missing, the same,
   * but the result does not say which content that was.
   */
  content: v.exactOptional(v.union([flake, v.literal('current')])),
  /** After the evaluation, the daemon is asked whether this node builds. */
  isShared: v.exactOptional(v.boolean()),
  /** This node builds nothing. */
  fetchOnly: v.exactOptional(v.boolean()),
  /** The recipe has been evaluated: it is copied from there, or built. */
  evaluated: v.exactOptional(evaluatedSchema),
  copy: v.exactOptional(copyOrder),
  /** Copies this store path to that store, and does nothing else. */
  push: v.exactOptional(pushOrder),
  /** For the log only. */
  namespaces: v.array(text),
  dir: v.strictObject({ root: text, gcroots: text, home: text, config: text, caches: text, logs: text, results: text }),
  user: v.strictObject({
    uid: v.exactOptional(v.number()),
    gid: v.exactOptional(v.number()),
    home: text,
    env,
  }),
  nix: v.strictObject({
    command: text,
    timeoutMs: v.number(),
    maxEvalMemory: v.number(),
    options: env,
    leadingDot: v.boolean(),
    daemonWaitMs: v.optional(v.number()),
  }),
  logLevel: text,
})
export type BuildJob = v.InferOutput<typeof jobSchema>

/** The daemon's answer to `evaluated`. */
export const answerSchema = v.strictObject({ kind: v.literal('claimed'), claimed: v.boolean() })
export type BuildAnswer = v.InferOutput<typeof answerSchema>

/** Reports of the helper; `done`, `left`, `archive`, `pushed` or `failed` is the last one. */
export const reportSchema = v.variant('kind', [
  /** In order, a few times a second. */
  v.object({ kind: v.literal('progress'), progress: v.pipe(v.array(buildProgressSchema), v.maxLength(64)) }),
  /** A nix has started as the leader of this process group, or has ended. */
  v.object({ kind: v.literal('began'), group: v.number() }),
  v.object({ kind: v.literal('ended'), group: v.number() }),
  /** A question: does this node build it? */
  v.object({ kind: v.literal('evaluated'), evaluated: evaluatedSchema }),
  /** After `evaluated`: this node does not build it now. */
  v.object({ kind: v.literal('left') }),
  v.object({ kind: v.literal('pushed') }),
  v.object({ kind: v.literal('done'), result: buildResultSchema }),
  v.object({ kind: v.literal('archive'), storePath: storePathSchema }),
  v.object({
    kind: v.literal('failed'),
    code: v.custom<ErrorCode>(isErrorCode),
    message: text,
  }),
])
export type BuildReport = v.InferOutput<typeof reportSchema>

/** The error of a build that `nix.timeout` ended. `words` follow the message. */
export function buildTimedOut(recipe: Recipe, timeoutMs: number, words = ''): FinalError {
  const limit = `${Math.round(timeoutMs / 1000)} s (nix.timeout in the config)`
  return new FinalError('BuildTimedOut', `${describeWork(recipe)} took longer than ${limit}${words}`)
}
