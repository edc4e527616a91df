import { readdirSync, readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'

/** Answers of a broken or hostile binary cache about a store path. Each gets the right one, and the folder. */
export const WRONG_NARINFOS = {
  unsigned: (response, right) => response.end(right.replace(/^Sig: .*\n/m, '')),
  'signed by an untrusted key': (response, right) => response.end(right.replace('Sig: worker-3:', 'Sig: stranger:')),
  'signed for other content': (response, right) => response.end(right.replace(/^NarSize: /m, 'NarSize: 9')),
  'about another path': (response, right, folder) => response.end(anotherThan(right, folder)),
  garbage: response => response.end('<html>It works!</html>'),
  huge: (response, right) => response.end(right + 'Sig: worker-3:AAAA\n'.repeat(10_000)),
  endless: response => void sendEndlessly(response),
  missing: response => response.writeHead(404).end(),
  'an error': response => response.writeHead(500).end('No space left on device'),
  'a redirect': response => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
} as const satisfies Record<string, (response: ServerResponse, right: string, folder: string) => unknown>

function anotherThan(right: string, folder: string): string {
  const texts = readdirSync(folder)
    .filter(name => name.endsWith('.narinfo'))
    .map(name => readFileSync(join(folder, name), 'utf8'))
  return texts.find(text => text !== right) ?? ''
}

function sendEndlessly(response: ServerResponse): void {
  const send = (): void => {
    while (!response.destroyed && response.write('Sig: worker-3:AAAA\n'.repeat(1000)));
    if (!response.destroyed) response.once('drain', send)
  }
  send()
}
