const UNITS = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 } as const

/** Bytes in a size such as `500MiB`, `20GiB`, or Kubernetes' `20Gi`; undefined if the text is not a size. */
export function parseSize(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,6})?)(Ki|Mi|Gi|Ti)B?$/.exec(text) ?? []
  const bytes = Math.floor(Number(number) * (Object.entries(UNITS).find(([name]) => name === unit)?.[1] ?? 0))
  return bytes > 0 ? bytes : undefined
}

/** Formats as `20GiB`, in the largest unit that divides the number of bytes. */
export function formatSize(bytes: number): string {
  const unit = Object.entries(UNITS).findLast(([, size]) => bytes % size === 0)
  return unit ? `${bytes / unit[1]}${unit[0]}B` : `${bytes} bytes`
}
