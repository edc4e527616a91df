import pino from 'pino'

/** What must never be seen, wherever an object that holds it is logged. */
const SECRETS = [
  'auth',
  'password',
  'identity_token',
  'identityToken',
  'registry_token',
  'registryToken',
  'authorization',
]

/** JSON lines on standard error, so that standard output stays free. */
export function createLogger(level: string): pino.Logger {
  const destination = pino.destination({ dest: 2, sync: true })
  // Nowhere to log to, a full disk say, is no reason to end what a kubelet depends on.
  destination.on('error', () => {})
  return pino(
    {
      level,
      base: null,
      redact: { paths: SECRETS.flatMap(name => [name, `*.${name}`]), censor: '[redacted]' },
    },
    destination,
  )
}
