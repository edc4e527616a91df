import * as v from 'valibot'
import { cleanText, copyStart } from '../../../lib/text/text.ts'

const MAX_LENGTH = 500

/** How the store's files get into snapshots, or why they can't: that may be said with the path of a file in a package. */
export const linkingReportSchema = v.object({
  possible: v.boolean(),
  how: v.pipe(
    v.string(),
    v.transform(text => copyStart(cleanText(text), MAX_LENGTH)),
  ),
})
export type LinkingReport = v.InferOutput<typeof linkingReportSchema>
