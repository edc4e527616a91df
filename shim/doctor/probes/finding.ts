/** What a check found. */
export type Finding =
  | { readonly outcome: 'ok' | 'skipped'; readonly text: string }
  /** What works, but not as it should, and what does not work; `wayOut` is what to do. */
  | { readonly outcome: 'warning' | 'failed'; readonly text: string; readonly wayOut: string }

export interface Check {
  /** As it is shown. */
  readonly name: string
  /** Changes nothing. Whatever it throws is a finding, too. */
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
