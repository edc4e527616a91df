export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/**
 * Parses `127.0.0.1:9470`, `[::1]:9470`, or `:9470` for all addresses; undefined if the text is none of these. Port 0
 * means any free port.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port > 65_535) return undefined
  return { host: bracketed ?? (plain || '::'), port }
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
