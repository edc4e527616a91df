/**
 * Whether lines can be redrawn in place. A terminal that does not report its size, as with `docker exec -t`, cannot.
 */
export function isRedrawable({ isTTY, columns }: { readonly isTTY?: boolean; readonly columns?: number }): boolean {
  return isTTY === true && columns !== undefined && columns > 0
}
