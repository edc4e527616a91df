import { RetryableError } from '../../../lib/errors.ts'

/** Arguments of nix that copy a store path and its references from a binary cache. Nix checks their signatures. */
export function copyFromArgs(url: string, storePath: string): string[] {
  return ['copy', '--from', url, storePath]
}

/**
 * Come after all others. What nix remembers of a binary cache is soon of no use: another node has just got the path, or has just lost
 * it. If it forgot everything immediately, one copy would ask four times about each path. A server that sends nothing is left soon, because
 * another one may be faster.
 */
export const COPY_OPTIONS = [
  ...['--option', 'narinfo-cache-negative-ttl', '0'],
  ...['--option', 'narinfo-cache-positive-ttl', '60'],
  ...['--option', 'connect-timeout', '5'],
  ...['--option', 'stalled-download-timeout', '15'],
  ...['--option', 'download-attempts', '1'],
]

/** Arguments of nix that copy a store path and its references to a store. */
export function pushArgs(url: string, storePath: string): string[] {
  return ['copy', '--to', withCompression(url), storePath]
}

const BINARY_CACHES: readonly string[] = ['http:', 'https:', 's3:', 'file:']

/** Nix compresses with xz unless the URL says otherwise, which takes 60 times as long. */
export function withCompression(url: string): string {
  const { protocol, searchParams, search } = new URL(url)
  if (!BINARY_CACHES.includes(protocol) || searchParams.has('compression')) return url
  return `${url}${search === '' ? '?' : '&'}compression=zstd`
}

/** Whether the binary cache can be asked without nix. */
export function isHttp(url: string): boolean {
  return URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol)
}

/**
 * Throws CopyFailed unless the URL that another node names is that of a plain HTTP server: other URLs make nix read files or run ssh,
 * and parameters switch checks off.
 */
export function checkPeerUrl(url: string): void {
  if (!isHttp(url) || /[\s?#@]/.test(url))
    throw new RetryableError('CopyFailed', 'its address is not the plain URL of an HTTP server')
}
