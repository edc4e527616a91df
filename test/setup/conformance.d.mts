export const REGISTRY_PROGRAM: string
export const PROMETHEUS_PROGRAM: string
export const PROMTOOL_PROGRAM: string
