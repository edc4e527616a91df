import * as v from 'valibot'
import { parseListenAddress } from '../../lib/http/listen-address.ts'
import { parseDuration, parseSize } from '../../lib/text/units.ts'

/** Types of values in the config. The reference page names a type by its metadata. */

export const absolutePath = v.pipe(
  v.string(),
  v.regex(/^\/[^\0]*$/, 'expected an absolute path'),
  v.metadata({ type: 'path' }),
)
export const atLeastOne = v.pipe(v.number(), v.integer(), v.minValue(1), v.metadata({ type: 'integer, at least 1' }))
export const duration = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const milliseconds = parseDuration(dataset.value)
    if (milliseconds !== undefined) return milliseconds
    addIssue({ message: 'expected a duration such as 30s, 5m or 1h, of 24 days at most' })
    return NEVER
  }),
  v.metadata({ type: 'duration' }),
)
export const size = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = parseSize(dataset.value)
    if (bytes !== undefined) return bytes
    addIssue({ message: 'expected a size such as 500MiB or 20GiB' })
    return NEVER
  }),
  v.metadata({ type: 'size' }),
)
export const listenAddress = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const address = parseListenAddress(dataset.value)
    if (address) return address
    addIssue({ message: 'expected HOST:PORT, as in 127.0.0.1:9469' })
    return NEVER
  }),
  v.metadata({ type: 'HOST:PORT' }),
)
/** The name of the Node object, as `kubelet --hostname-override` has it. */
export const nodeName = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'expected the name of a node, like worker-1.example'),
  v.metadata({ default: 'the host name' }),
)
