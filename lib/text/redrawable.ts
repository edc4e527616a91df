/** Whether lines on it can be drawn again in their place: not on a terminal that does not tell its size, as of `docker exec -t`. */
export function isRedrawable({ isTTY, columns }: { readonly isTTY?: boolean; readonly columns?: number }): boolean {
  return isTTY === true && columns !== undefined && columns > 0
}
