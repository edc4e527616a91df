/**
 * A Python program in a form that is the same for programs that differ in no more than comments, docstrings, empty lines and spaces at
 * the ends of lines: strings are taken out as JSON, so that each line is one of code. Undefined when it cannot be read.
 */
export function pythonCode(source: string): string | undefined {
  if (source.includes('\r') || source.split('\n', 2).some(isEncoding)) return undefined
  const lines: string[] = []
  let line = ''
  let lastText = ''
  let depth = 0
  let isContinued = false
  for (const [token] of `${source}\n`.matchAll(TOKEN)) {
    if (token === '"' || token === "'") return undefined
    if (token === '\n') {
      const isDocstring = depth === 0 && !isContinued && line.trim() === lastText
      if (line.trim() !== '' && !isDocstring) lines.push(line.trimEnd())
      isContinued = line.endsWith('\\')
      line = lastText = ''
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

/** To Python such a comment says what all other bytes mean, as a carriage return is the end of a line. */
function isEncoding(line: string): boolean {
  return line.trimStart().startsWith('#') && line.includes('coding')
}

/** A comment, a string, a bracket, the end of a line, what is between these; or a quote that begins no string. */
const TOKEN =
  /#[^\n]*|"""(?:[^"\\]|\\[\s\S]|"(?!""))*"""|'''(?:[^'\\]|\\[\s\S]|'(?!''))*'''|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|[^#"'\n()[\]{}]+|["'\n()[\]{}]/g
