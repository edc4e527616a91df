/** Go's names of processors, as Nix calls them. */
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

/** Nix system of a node by its `kubernetes.io/arch` and `kubernetes.io/os`; undefined when Nix has no such. */
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
