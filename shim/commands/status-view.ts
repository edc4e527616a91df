import type { StatusReport } from '../wire/status.ts'

/** Shows what a shim does and holds, again with each report. */
export interface StatusView {
  show(report: StatusReport): void
  /** Leaves the terminal as it was found, with the last report on it. */
  close(): void
}
