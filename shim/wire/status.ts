import * as v from 'valibot'
import { loadService, type Method } from '../../lib/grpc/service.ts'
import type { StatusDefinition } from '../../protos/generated/enbi/v1alpha1/Status.ts'
import type { StatusRequest } from '../../protos/generated/enbi/v1alpha1/StatusRequest.ts'

export const SHIM_STATUS = loadService<StatusDefinition>('enbi.proto', 'enbi.v1alpha1.Status')

/** 0 and "" stand for unknown values, see `protos/enbi.proto`. */
const text = v.pipe(
  v.string(),
  v.transform(value => value || undefined),
)
const amount = v.pipe(
  v.number(),
  v.transform(value => value || undefined),
)
const time = v.pipe(
  v.number(),
  v.transform(value => (value === 0 ? undefined : new Date(value))),
)

const runSchema = v.object({
  image: v.string(),
  recipe: v.string(),
  runId: text,
  startedAt: time,
  progress: v.object({ phase: v.string(), done: v.number(), expected: v.number(), text: v.string() }),
  waiting: v.number(),
  waiters: v.array(v.object({ namespace: text, pod: text, nixBuild: text })),
})
const resultSchema = v.object({
  image: v.string(),
  recipe: v.string(),
  endedAt: time,
  tookMs: amount,
  runId: text,
  imageId: text,
  storePath: text,
  errorCode: text,
  error: text,
  times: v.number(),
})
const imageSchema = v.object({ image: text, imageId: text, storePath: text, size: amount, updatedAt: time })
const folderSchema = v.object({ files: v.number(), bytes: v.number() })

const reportSchema = v.object({
  shim: v.object({
    version: v.string(),
    startedAt: time,
    containerd: v.string(),
    containerdProblem: text,
    rules: v.number(),
    maxBuilds: v.number(),
    logs: v.string(),
  }),
  runs: v.array(runSchema),
  queue: v.array(runSchema),
  results: v.array(resultSchema),
  images: v.array(imageSchema),
  disk: v.object({
    store: v.object({ paths: v.number(), narBytes: v.number(), problem: text }),
    digests: folderSchema,
    plans: folderSchema,
    logs: folderSchema,
  }),
})

/** As it is sent, see `protos/enbi.proto`. */
export type StatusMessage = v.InferInput<typeof reportSchema>
/** As it is read: unknown values are undefined. */
export type StatusReport = v.InferOutput<typeof reportSchema>

/** For clients. */
export const WATCH_STATUS: Method<StatusRequest, StatusReport> = {
  ...SHIM_STATUS.Watch,
  responseDeserialize: bytes => v.parse(reportSchema, SHIM_STATUS.Watch.responseDeserialize(bytes)),
}
