/** The result of a check. */
export type Finding =
  | { readonly outcome: 'ok' | 'skipped'; readonly text: string }
  /** A warning works, but not as intended. `wayOut` is what to do. */
  | { readonly outcome: 'warning' | 'failed'; readonly text: string; readonly wayOut: string }

export interface Check {
  readonly name: string
  /** Changes nothing. An error that it throws is also a finding. */
  readonly look: (signal: AbortSignal) => Finding | Promise<Finding>
}

export function ok(text: string): Finding {
  return { outcome: 'ok', text }
}

export function skipped(why: string): Finding {
  return { outcome: 'skipped', text: why }
}

export function warning(text: string, wayOut: string): Finding {
  return { outcome: 'warning', text, wayOut }
}

export function failed(text: string, wayOut: string): Finding {
  return { outcome: 'failed', text, wayOut }
}
