import * as v from 'valibot'
import { isForPackageSets, isForStorePaths } from '../../recipes/policy/policy.ts'
import { pattern, patterns, size } from './value-types.ts'

/** A rule of `policy`. */
export const policyRule = v.pipe(
  v.strictObject({
    namespaces: v.pipe(patterns, v.description('Namespaces of the pods that may have the image.')),
    images: v.pipe(patterns, v.description('Image names, matched with and without their tag.')),
    flakes: v.optional(
      v.pipe(
        v.array(pattern),
        v.description('Flake URLs without query, revision and ref. Required unless all `images` begin with `nix:0/`.'),
      ),
      [],
    ),
    contents: v.optional(
      v.pipe(
        patterns,
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
