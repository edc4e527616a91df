import * as v from 'valibot'
import { formatSize, parseSize } from '../../lib/text/units.ts'
import type { Amount } from '../nix/collect/plan-collection.ts'

const PERCENT = /^(\d{1,2}(?:\.\d{1,2})?)%$/

function parseAmount(text: string): Amount | undefined {
  const percent = Number(PERCENT.exec(text)?.[1] ?? 0)
  if (percent > 0) return { share: percent / 100 }
  const bytes = parseSize(text)
  return bytes === undefined ? undefined : { bytes }
}

export function formatAmount(amount: Amount): string {
  return 'share' in amount ? `${Number((amount.share * 100).toFixed(2))}%` : formatSize(amount.bytes)
}

const amount = v.pipe(
  v.string(),
  v.rawTransform<string, Amount>(({ dataset, addIssue, NEVER }) => {
    const parsed = parseAmount(dataset.value)
    if (parsed) return parsed
    addIssue({ message: 'expected a size such as 20GiB, or a part of the disk such as 20%' })
    return NEVER
  }),
  v.metadata({ type: 'size or percentage' }),
)

/** When the shim has Nix collect garbage. */
export const collectGarbage = v.pipe(
  v.strictObject({
    when: v.optional(
      v.pipe(
        v.picklist(['auto', 'always', 'never']),
        v.description(
          '`auto`: unless `min-free` of Nix acts before, which means that it is not less than `below`. Timers that collect, such as that of NixOS (`nix.gc.automatic`), do not stop the shim: they come too late for a disk that runs low.',
        ),
      ),
      'auto',
    ),
    below: v.optional(
      v.pipe(
        amount,
        v.description(
          'Nix collects garbage when the disk of the store has less free space than this, or less than the same share of its inodes.',
        ),
      ),
      '20%',
    ),
    upTo: v.optional(
      v.pipe(
        amount,
        v.description('Nix stops when this much is free. It goes by bytes: inodes count as much as the mean file.'),
      ),
      '25%',
    ),
  }),
  v.forward(
    v.partialCheck(
      [['below'], ['upTo']],
      ({ below, upTo }) => !isLess(upTo, below),
      'expected at least as much as below',
    ),
    ['upTo'],
  ),
)

/** Amounts of different kinds cannot be compared without a disk. */
function isLess(one: Amount, other: Amount): boolean {
  if ('bytes' in one) return 'bytes' in other && one.bytes < other.bytes
  return 'share' in other && one.share < other.share
}

export type CollectGarbage = Readonly<v.InferOutput<typeof collectGarbage>>
