export const LIST_FORMAT: string
export function followGo(): { readLine(line: string): string | undefined; readonly errors: readonly string[] }
