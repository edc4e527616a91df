/**
 * A Python program in a form that is the same for programs that differ in no more than comments, docstrings, empty lines and spaces at
 * the ends of lines: strings are taken out as JSON, so that each line is one of code. Undefined when it cannot be read, or has
 * anything that Python may read in another way.
 */
export function pythonCode(source: string): string | undefined {
  if (!PLAIN.test(source) || namesEncoding(source)) return undefined
  const lines: string[] = []
  let line = ''
  let lastText = ''
  let depth = 0
  let isContinued = false
  const text = `${source}\n`
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const next = text[index + token.length]
    if (token === '"' || token === "'" || isUnfinished(token, next)) return undefined
    if (token === '\n') {
      const isBlank = line.trim() === ''
      // It ends the statement all the same.
      if (isBlank && isContinued) return undefined
      const isDocstring = depth === 0 && !isContinued && line.trim() === lastText && canHaveDocstring(lines)
      if (!isBlank && !isDocstring) lines.push(line.trimEnd())
      isContinued = line.endsWith('\\')
      line = lastText = ''
    } else if (token === '\\') {
      if (next !== '\n') return undefined
      line += token
    } else if (/^["']/.test(token)) {
      lastText = JSON.stringify(token)
      line += lastText
    } else if (!token.startsWith('#')) {
      if ('([{'.includes(token)) depth += 1
      if (')]}'.includes(token)) depth -= 1
      line += token
    }
  }
  return lines.join('\n')
}

/** Python ends lines at a lone carriage return, indents by tabs, starts anew at a form feed, and some versions end at a NUL. */
const PLAIN = /^[\n -~]*$/

/** Two lines are looked at for the encoding of the program, in which every byte may stand for something else (PEP 263). */
function namesEncoding(source: string): boolean {
  return source.split('\n', 2).some(line => /coding[:=]/.test(line))
}

/** Three quotes that nothing closes would pass for an empty string and the beginning of another. */
function isUnfinished(token: string, next: string | undefined): boolean {
  return (token === '""' || token === "''") && next === token[0]
}

/** A text by itself is one at the beginning of a program, a class or a function. */
function canHaveDocstring(lines: readonly string[]): boolean {
  return lines.at(-1)?.endsWith(':') ?? true
}

/** A comment, a string, a bracket, the end of a line, what is between these; or a quote that begins no string. */
const TOKEN =
  /#[^\n]*|"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""|'''(?:[^'\\]|\\[\s\S]|'(?!''))*'''|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|[^#"'\\\n()[\]{}]+|["'\\\n()[\]{}]/g
