/** For `go list -deps`: a line for each package that `go build` will have to compile, an empty one for each that is in its cache. */
export const LIST_FORMAT =
  '{{if and .Stale (ne .StaleReason "not installed but available in build cache") (ne .ImportPath "unsafe")}}compile {{.ImportPath}}{{end}}'

/**
 * Follows what Go writes while it downloads modules and compiles packages. `readLine` says how far it is in a few words, `errors`
 * are the lines that tell neither.
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
