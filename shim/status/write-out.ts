/** Resolves when all that was written to the stream so far is out, or nobody reads it any more. */
export function writtenOut(output: NodeJS.WriteStream): Promise<void> {
  return new Promise(resolve => {
    if (output.destroyed) resolve()
    else output.write('', () => resolve())
  })
}
