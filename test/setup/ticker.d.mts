interface Output {
  readonly isTTY: boolean
  readonly columns?: number
  write(text: string): void
}

export function startTicker(output?: Output): { show(words: string | undefined): void; stop(): void }
