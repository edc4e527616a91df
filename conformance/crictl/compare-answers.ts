/** What a run of crictl printed, and how it ended. */
export interface Answer {
  readonly exitCode: number | undefined
  readonly stdout: string
  readonly stderr: string
}

/** The parts of two answers that differ. What differs between any two runs does not count. */
export function differingParts(direct: Answer, proxied: Answer): string[] {
  const parts = ['exitCode', 'stdout', 'stderr'] as const
  return parts.filter(part => normalize(direct[part]) !== normalize(proxied[part]))
}

/** Time and process of a line of either log of crictl, and when containerd last measured the file system. */
const TIMES = [/time="[^"]*"/g, /^[EWI]\d{4} [\d:.]+ +\d+ /gm, /"?timestamp"?: "?\d+"?/g]
const SOCKET = /unix:\/\/[^\s"\\]*\.sock/g

function normalize(value: string | number | undefined): string | undefined {
  if (typeof value !== 'string') return value?.toString()
  const text = TIMES.reduce((text, time) => text.replaceAll(time, 'TIME'), value).replaceAll(SOCKET, 'SOCKET')
  // crictl removes several images concurrently, and writes each name when it is done.
  return text.includes('Deleted: ') ? text.split('\n').toSorted().join('\n') : text
}
