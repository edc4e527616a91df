import * as v from 'valibot'
import { findMistakes } from './name-rules.ts'

/** `names` of the config: every mistake in it, under its key. */
export const nameRules = v.pipe(
  v.array(
    v.strictObject({
      images: v.pipe(
        v.string(),
        v.description(
          'Image names with their host; `{WORD}` captures one segment, and `{contents}` at the end captures the packages of a set.',
        ),
      ),
      flake: v.optional(v.pipe(v.string(), v.description('Flake URL, which may contain captures and `{tag}`.'))),
      package: v.optional(
        v.pipe(v.string(), v.description('Package of the flake, which may contain captures and `{tag}`.')),
      ),
      packages: v.optional(
        v.pipe(v.string(), v.description('Flake URL of a package set, instead of `flake` and `package`.')),
      ),
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
