import pino from 'pino'

/** Keys whose values are redacted in every logged object. */
const SECRETS = [
  'auth',
  'password',
  'identity_token',
  'identityToken',
  'registry_token',
  'registryToken',
  'authorization',
]

/** Writes JSON lines to standard error; standard output stays free. */
export function createLogger(level: string): pino.Logger {
  const destination = pino.destination({ dest: 2, sync: true })
  // A failing log, for example on a full disk, must not end a process that a kubelet depends on.
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
