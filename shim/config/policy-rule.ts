import * as v from 'valibot'
import { findUnknownPlaceholder, NAMESPACE } from '../../recipes/policy/pattern.ts'
import { isForPackageSets, isForStorePaths } from '../../recipes/policy/policy.ts'
import { size } from './value-types.ts'

const pattern = v.pipe(v.string(), v.nonEmpty('expected a pattern'), v.metadata({ type: 'pattern' }))
const atLeastOnePattern = v.nonEmpty<string[], string>('expected at least one pattern')
/** Means the same for every namespace. */
const fixedPatterns = v.pipe(
  v.array(
    v.pipe(
      pattern,
      v.check(text => !text.includes(NAMESPACE), `${NAMESPACE} stands for something only in images and flakes`),
    ),
  ),
  atLeastOnePattern,
)
const namespacedPattern = v.pipe(
  pattern,
  v.check(
    text => findUnknownPlaceholder(text) === undefined,
    ({ input }) => `unknown placeholder ${findUnknownPlaceholder(input)}, the only one is ${NAMESPACE}`,
  ),
)

/** A rule of `policy`. */
export const policyRule = v.pipe(
  v.strictObject({
    namespaces: v.pipe(fixedPatterns, v.description('Namespaces of the pods that may have the image.')),
    images: v.pipe(
      v.array(namespacedPattern),
      atLeastOnePattern,
      v.description('Image names, matched with and without their tag. `{namespace}` stands for that of the pod.'),
    ),
    flakes: v.optional(
      v.pipe(
        v.array(namespacedPattern),
        v.description(
          'Flake URLs without query, revision and ref; `{namespace}` as in `images`. Required unless all `images` begin with `nix:0/`.',
        ),
      ),
      [],
    ),
    contents: v.optional(
      v.pipe(
        fixedPatterns,
        v.metadata({ default: 'any package' }),
        v.description('Packages that an image of a package set may contain.'),
      ),
    ),
    requireLocked: v.optional(
      v.pipe(v.boolean(), v.description('Reject flakes that do not pin a revision or a `narHash`.')),
      false,
    ),
    replaceForeign: v.optional(
      v.pipe(v.boolean(), v.description('Replace an image of the same name that the shim did not import.')),
      false,
    ),
    plainPackages: v.optional(
      v.pipe(v.boolean(), v.description('Wrap packages that are not images into an image.')),
      false,
    ),
    maxImageSize: v.optional(
      v.pipe(size, v.description('Largest total size of the layers of an image, decompressed.')),
      '20GiB',
    ),
  }),
  v.forward(
    v.partialCheck(
      [['images'], ['flakes']],
      ({ images, flakes }) => flakes.length > 0 || images.every(isForStorePaths),
      'missing (only a rule whose images all begin with nix:0/ can do without)',
    ),
    ['flakes'],
  ),
  v.forward(
    v.partialCheck(
      [['flakes'], ['contents']],
      ({ flakes, contents }) => contents === undefined || flakes.some(isForPackageSets),
      'it bounds package sets, and none of its flakes begins with packages:',
    ),
    ['contents'],
  ),
)
