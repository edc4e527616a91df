import * as v from 'valibot'
import { quote } from '../../../lib/text/quote.ts'
import { archiveInvalid } from './errors.ts'
import { parseJson } from './json.ts'
import type { ImagePlan } from './parsed-image.ts'

/** Those of images with a hundred layers have a tenth of it. containerd keeps each in memory. */
const MAX_CONFIG_BYTES = 512 * 1024
/** As long as a path may be. `User` comes with every list of images, which may have 16 MiB in all. */
const MAX_TEXT_LENGTH = 4096

const schema = v.record(v.string(), v.unknown())

/** Throws ArchiveInvalid for a config that is a burden to all who list images. */
export function checkConfigSize({ config: { bytes } }: Pick<ImagePlan, 'config'>): void {
  if (bytes.length > MAX_CONFIG_BYTES)
    throw archiveInvalid(`has a config of ${bytes.length} bytes, more than ${MAX_CONFIG_BYTES}`)
  // Go takes keys for the same whose letters are upper or lower case: all are looked at.
  for (const part of Object.values(parseJson(schema, bytes, 'config')))
    for (const [key, value] of Object.entries(v.is(schema, part) ? part : {}))
      if (typeof value === 'string' && value.length > MAX_TEXT_LENGTH)
        throw archiveInvalid(
          `has a config whose ${quote(key.slice(0, 64))} has ${value.length} characters, more than ${MAX_TEXT_LENGTH}`,
        )
}
