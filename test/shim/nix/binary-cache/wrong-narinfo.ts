import type { ServerResponse } from 'node:http'

/** Answers of a broken or hostile binary cache about a store path. Each gets the right one. */
export const WRONG_NARINFOS = {
  unsigned: (response, right) => response.end(right.replace(/^Sig: .*\n/m, '')),
  'unsigned, but said to be verified by its content': (response, right) =>
    response.end(right.replace(/^Sig: .*$/m, `CA: fixed:r:sha256:${'1'.repeat(52)}`)),
  'signed by an untrusted key': (response, right) => response.end(right.replace('Sig: worker-3:', 'Sig: stranger:')),
  'about another path': (response, right) => response.end(right.replace(/^(StorePath: .*)$/m, '$1-too')),
  garbage: response => response.end('<html>It works!</html>'),
  huge: (response, right) => response.end(right + 'Sig: worker-3:AAAA\n'.repeat(10_000)),
  endless: response => sendEndlessly(response),
  cut: response => response.writeHead(200, { 'content-length': 1000 }).write('StorePath', () => response.destroy()),
  silent: () => {},
  missing: response => response.writeHead(404).end(),
  'an error': response => response.writeHead(500).end('No space left on device'),
  'a redirect': response => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
} as const satisfies Record<string, (response: ServerResponse, right: string) => unknown>

function sendEndlessly(response: ServerResponse): void {
  const send = (): void => {
    while (!response.destroyed && response.write('Sig: worker-3:AAAA\n'.repeat(1000)));
    if (!response.destroyed) response.once('drain', send)
  }
  send()
}
