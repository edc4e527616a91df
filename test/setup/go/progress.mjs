/** For `go list -deps`: one line for each package that `go build` must compile, and an empty line for each that is in its cache. */
export const LIST_FORMAT =
  '{{if and .Stale (ne .StaleReason "not installed but available in build cache") (ne .ImportPath "unsafe")}}compile {{.ImportPath}}{{end}}'

/**
 * Follows the output of Go while it downloads modules and compiles packages. `readLine` returns the progress in a few words. `errors`
 * are the lines that do not report progress.
 */
export function followGo() {
  let downloaded = 0
  let toCompile = 0
  let compiled = 0
  const errors = []

  function readLine(line) {
    if (line.startsWith('go: downloading ')) {
      downloaded += 1
      return `${downloaded} modules downloaded, now ${line.slice('go: downloading '.length)}`
    }
    if (line.startsWith('compile ')) {
      toCompile += 1
      return `${toCompile} packages to compile`
    }
    if (!PACKAGE.test(line)) {
      if (line !== '') errors.push(line)
      return undefined
    }
    compiled += 1
    if (compiled < toCompile) return `${compiled} of ${toCompile} packages compiled`
    return `${compiled} packages compiled, linking the programs`
  }

  return { readLine, errors }
}

/** `go build -v` writes the path of each package that it compiles. */
const PACKAGE = /^[\w.~-]+(\/[\w.~-]+)*$/
