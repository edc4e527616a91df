import * as v from 'valibot'
import { findMistakes } from './name-rules.ts'

/** `names` of the config: every mistake in it, under its key. */
export const nameRules = v.pipe(
  v.array(
    v.strictObject({
      images: v.string(),
      flake: v.optional(v.string()),
      package: v.optional(v.string()),
      packages: v.optional(v.string()),
    }),
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    const { value: input } = dataset
    for (const { index, key, message } of findMistakes(input)) {
      const value = input[index]
      if (value === undefined) continue
      addIssue({
        message,
        path: [
          { type: 'array', origin: 'value', input, key: index, value },
          { type: 'object', origin: 'value', input: { ...value }, key, value: value[key] },
        ],
      })
    }
  }),
)
