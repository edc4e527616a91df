/** How often a line is added if the output is no terminal. */
const LINE_MS = 15_000
const REDRAW_MS = 1000

/** Shows how long a step has been running and how far it is: in place on a terminal, otherwise as a line every 15 seconds. */
export function startTicker(output = process.stderr) {
  const startedAt = Date.now()
  let words
  const text = () => {
    const seconds = Math.round((Date.now() - startedAt) / 1000)
    return `setup: … ${seconds} s${words === undefined ? '' : `, ${words}`}`
  }
  const draw = () => {
    if (!output.isTTY) output.write(`${text()}\n`)
    else output.write(`\r\x1b[2K${text().slice(0, (output.columns || 80) - 1)}`)
  }
  const timer = setInterval(draw, output.isTTY ? REDRAW_MS : LINE_MS)
  return {
    /** Replaces what is shown; `undefined` keeps it. */
    show(next) {
      words = next ?? words
    },
    stop() {
      clearInterval(timer)
      if (output.isTTY) output.write('\r\x1b[2K')
    },
  }
}
