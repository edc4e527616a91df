/** Series in promtool's notation, one value a minute, by what Prometheus would call them. */
export type Series = Readonly<Record<string, string>>

/** For each alert: series with which it fires at that minute, and series with which it is silent then. */
export interface AlertCase {
  readonly minute: number
  readonly fires: Series
  /** Other series with which it fires. */
  readonly alsoFires?: Series
  readonly silent: Series
}

const SHIM = 'job="enbi-shim",instance="node-1"'
const CALL = `${SHIM},grpc_service="runtime.v1.ImageService"`
const failedBuilds = (code: string) => `enbi_shim_builds_total{${SHIM},result="failed",code="${code}"}`
const succeededBuilds = `enbi_shim_builds_total{${SHIM},result="succeeded",code=""}`
const failedPulls = (code: string) => `enbi_shim_pulls_total{${SHIM},result="failed",code="${code}"}`
const pulls = (le: string) => `enbi_shim_pull_duration_seconds_bucket{${SHIM},le="${le}"}`
const reconciles = (result: string) =>
  `enbi_controller_reconcile_total{job="enbi-controller",kind="pod",result="${result}"}`

const always = (value: number) => `${value}+0x180`
const risingBy = (step: number) => `0+${step}x180`

const ENOUGH_BYTES = {
  [`enbi_shim_store_free_bytes{${SHIM}}`]: always(30e9),
  [`enbi_shim_store_collect_below_bytes{${SHIM}}`]: always(20e9),
}
const inodes = (free: number) => ({
  [`enbi_shim_store_free_inodes{${SHIM}}`]: always(free),
  [`enbi_shim_store_collect_below_inodes{${SHIM}}`]: always(2e6),
})

export const ALERT_CASES: Readonly<Record<string, AlertCase>> = {
  EnbiShimDown: {
    minute: 5,
    fires: { [`up{${SHIM}}`]: always(0) },
    silent: { [`up{${SHIM}}`]: '1 0 0 1+0x20' },
  },
  EnbiShimContainerdUnreachable: {
    minute: 5,
    fires: { [`enbi_shim_containerd_up{${SHIM}}`]: always(0) },
    silent: { [`enbi_shim_containerd_up{${SHIM}}`]: always(1) },
  },
  EnbiShimCallsFailing: {
    minute: 20,
    fires: {
      [`grpc_server_handled_total{${CALL},grpc_method="ListImages",grpc_code="Unavailable"}`]: risingBy(30),
      [`grpc_server_handled_total{${CALL},grpc_method="ListImages",grpc_code="OK"}`]: risingBy(60),
    },
    silent: {
      [`grpc_server_handled_total{${CALL},grpc_method="PullImage",grpc_code="Unknown"}`]: risingBy(90),
      [`grpc_server_handled_total{${CALL},grpc_method="ListImages",grpc_code="Unavailable"}`]: risingBy(6),
      [`grpc_server_handled_total{${CALL},grpc_method="ListImages",grpc_code="OK"}`]: risingBy(60),
    },
  },
  EnbiShimNodeCannotBuild: {
    minute: 20,
    fires: { [failedPulls('DiskFull')]: risingBy(1) },
    silent: { [failedPulls('BuilderFailed')]: risingBy(1) },
  },
  EnbiShimBuildsFailing: {
    minute: 30,
    fires: { [failedBuilds('BuilderFailed')]: risingBy(2), [succeededBuilds]: risingBy(1) },
    silent: {
      [failedBuilds('BuilderFailed')]: risingBy(1),
      [failedBuilds('Cancelled')]: risingBy(9),
      [succeededBuilds]: risingBy(2),
    },
  },
  EnbiShimImportsFailing: {
    minute: 20,
    fires: { [`enbi_shim_imports_total{${SHIM},result="failed",code="DiskFull"}`]: risingBy(1) },
    silent: { [`enbi_shim_imports_total{${SHIM},result="failed",code="Cancelled"}`]: risingBy(1) },
  },
  EnbiShimQueueStuck: {
    minute: 160,
    fires: {
      [`enbi_shim_builds_queued{${SHIM}}`]: always(2),
      [`enbi_shim_build_duration_seconds_count{${SHIM}}`]: always(5),
      [`process_start_time_seconds{${SHIM}}`]: always(0),
    },
    silent: {
      [`enbi_shim_builds_queued{${SHIM}}`]: always(2),
      [`enbi_shim_build_duration_seconds_count{${SHIM}}`]: risingBy(1),
      [`process_start_time_seconds{${SHIM}}`]: always(0),
    },
  },
  EnbiShimPullsSlow: {
    minute: 90,
    fires: {
      [pulls('900')]: always(0),
      [pulls('1800')]: risingBy(1),
      [pulls('+Inf')]: risingBy(1),
      [`enbi_shim_pull_duration_seconds_count{${SHIM}}`]: risingBy(1),
    },
    silent: {
      [pulls('900')]: risingBy(1),
      [pulls('1800')]: risingBy(1),
      [pulls('+Inf')]: risingBy(1),
      [`enbi_shim_pull_duration_seconds_count{${SHIM}}`]: risingBy(1),
    },
  },
  EnbiShimPullsRefused: {
    minute: 60,
    fires: { [`enbi_shim_pulls_total{${SHIM},result="refused",code="NotAllowed"}`]: risingBy(1) },
    silent: { [`enbi_shim_pulls_total{${SHIM},result="refused",code="NotAllowed"}`]: risingBy(0.1) },
  },
  EnbiShimPolicyEmpty: {
    minute: 90,
    fires: { [`enbi_shim_policy_rules{${SHIM}}`]: always(0) },
    silent: { [`enbi_shim_policy_rules{${SHIM}}`]: always(1) },
  },
  EnbiShimStoreLow: {
    minute: 40,
    fires: {
      [`enbi_shim_store_free_bytes{${SHIM}}`]: always(10e9),
      [`enbi_shim_store_collect_below_bytes{${SHIM}}`]: always(20e9),
    },
    alsoFires: { ...ENOUGH_BYTES, ...inodes(1e6) },
    silent: { ...ENOUGH_BYTES, ...inodes(3e6) },
  },
  EnbiShimCollectionFailing: {
    minute: 60,
    fires: { [`enbi_shim_collections_total{${SHIM},result="failed"}`]: '0+0.1x180' },
    silent: {
      [`enbi_shim_collections_total{${SHIM},result="failed"}`]: always(5),
      [`enbi_shim_collections_total{${SHIM},result="nothing"}`]: '0+0.1x180',
    },
  },
  EnbiShimMemory: {
    minute: 60,
    fires: { [`process_resident_memory_bytes{${SHIM}}`]: always(400_000_000) },
    silent: {
      [`process_resident_memory_bytes{${SHIM}}`]: always(120_000_000),
      'process_resident_memory_bytes{job="enbi-controller"}': always(400_000_000),
    },
  },
  EnbiControllerLeaderMissing: {
    minute: 10,
    fires: { 'enbi_controller_leader{instance="one"}': always(0) },
    silent: {
      'enbi_controller_leader{instance="one"}': always(0),
      'enbi_controller_leader{instance="two"}': always(1),
    },
  },
  EnbiControllerFailing: {
    minute: 45,
    fires: { [reconciles('failed')]: risingBy(1), [reconciles('done')]: risingBy(1) },
    silent: { [reconciles('failed')]: risingBy(1), [reconciles('done')]: risingBy(9) },
  },
  EnbiControllerBehind: {
    minute: 30,
    fires: { 'enbi_controller_queue_depth{instance="one"}': always(2000) },
    silent: { 'enbi_controller_queue_depth{instance="one"}': always(10) },
  },
}
