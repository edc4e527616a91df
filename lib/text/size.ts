const UNITS = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 } as const

/** Bytes in a size as people write it, `500MiB`, `20GiB`, or `20Gi` as Kubernetes has it; undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,6})?)(Ki|Mi|Gi|Ti)B?$/.exec(text) ?? []
  const bytes = Math.floor(Number(number) * (Object.entries(UNITS).find(([name]) => name === unit)?.[1] ?? 0))
  return bytes > 0 ? bytes : undefined
}

/** `20GiB`: in the largest unit that there is a whole number of. */
export function formatSize(bytes: number): string {
  const unit = Object.entries(UNITS).findLast(([, size]) => bytes % size === 0)
  return unit ? `${bytes / unit[1]}${unit[0]}B` : `${bytes} bytes`
}
