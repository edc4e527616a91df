/** Source: OCI image specification, layer.md, "Whiteouts". */
const PREFIX = '.wh.'

/** Whether whoever unpacks a tar takes a file of that name, without its folder, for word of one that is deleted. */
export function isWhiteout(name: string | Buffer): boolean {
  return typeof name === 'string'
    ? name.startsWith(PREFIX)
    : name.subarray(0, PREFIX.length).equals(Buffer.from(PREFIX))
}
