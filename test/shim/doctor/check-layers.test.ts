import { expect, it } from 'vitest'
import { judgeLinking } from '../../../shim/doctor/check-layers.ts'

it.each([
  ['hard links', { possible: true, isCopied: false, how: 'by hard links' }, 'ok', 'linked: by hard links'],
  [
    'plain copies',
    { possible: true, isCopied: true, how: 'by copies, as the store is on another file system' },
    'warning',
    'linked by copies, as the store is on another file system: each image takes time and disk space',
  ],
  [
    'tars',
    { possible: false, isCopied: false, how: 'no folder' },
    'warning',
    'as tars, which is slower and takes twice the space: no folder',
  ],
] as const)('doctor reports layers by %s', (_what, linking, outcome, text) => {
  expect(judgeLinking(linking)).toMatchObject({ outcome, text })
})
