import * as v from 'valibot'

/** How the store's files get into snapshots, or why they can't. */
export const linkingReportSchema = v.object({ possible: v.boolean(), how: v.string() })
export type LinkingReport = v.InferOutput<typeof linkingReportSchema>
