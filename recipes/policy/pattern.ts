import { compileGlob } from './glob.ts'

/** Whether a text matches, for a pod of the namespace. */
export type Pattern = (text: string, namespace: string) => boolean

/** In a pattern: the namespace of the pod. */
export const NAMESPACE = '{namespace}'
const PLACEHOLDER = /(?<!\\)\{[^{}]*\}/g
/** A DNS label, as the API server requires it of a namespace (RFC 1123). It holds neither `/` nor a wildcard. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * Compiles a glob in which `{namespace}` stands for the namespace of the pod, literally. A lone `*` matches anything.
 * For a namespace that Kubernetes would not accept, a pattern with `{namespace}` matches nothing.
 */
export function compilePattern(pattern: string): Pattern {
  if (pattern === '*') return () => true
  if (!pattern.includes(NAMESPACE)) return compileGlob(pattern)
  return (text, namespace) => LABEL.test(namespace) && compileGlob(pattern.replaceAll(NAMESPACE, namespace))(text)
}

/** The first placeholder of a pattern that stands for nothing. A backslash before the brace makes it plain text. */
export function findUnknownPlaceholder(pattern: string): string | undefined {
  return pattern.match(PLACEHOLDER)?.find(placeholder => placeholder !== NAMESPACE)
}
