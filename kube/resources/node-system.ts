import * as v from 'valibot'

/** Nix's names of processors, by Go's. */
const CPUS: ReadonlyMap<string | undefined, string> = new Map([
  ['amd64', 'x86_64'],
  ['arm64', 'aarch64'],
  ['arm', 'armv7l'],
  ['386', 'i686'],
  ['loong64', 'loongarch64'],
  ['mips64le', 'mips64el'],
  ['ppc64le', 'powerpc64le'],
  ['riscv64', 'riscv64'],
  ['s390x', 's390x'],
])

/** What the kubelet says in the status of its Node. */
export const nodeInfoSchema = v.object({
  architecture: v.optional(v.string(), ''),
  operatingSystem: v.optional(v.string(), ''),
})

/** The Nix system of a Node, or of the nodes that a `nodeSelector` selects; undefined if Nix does not support it. */
export function systemOfNode(
  labels: Readonly<Record<string, string>>,
  nodeInfo?: v.InferOutput<typeof nodeInfoSchema>,
): string | undefined {
  return nixSystem({
    architecture: labels['kubernetes.io/arch'] ?? nodeInfo?.architecture,
    os: labels['kubernetes.io/os'] ?? nodeInfo?.operatingSystem,
  })
}

/** The Nix system for Go's names of a processor and an operating system; undefined if Nix does not support it. */
export function nixSystem({
  architecture,
  os,
}: {
  readonly architecture: string | undefined
  readonly os: string | undefined
}): string | undefined {
  const cpu = CPUS.get(architecture)
  return cpu !== undefined && (os === undefined || os === '' || os === 'linux') ? `${cpu}-linux` : undefined
}
