/** systemd hands sockets over from this descriptor on (sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3

/**
 * The descriptor of the listening socket that systemd opened for this process, if it did. Removes the variables from `env`:
 * child processes must not take them for theirs.
 */
export function takeSystemdSocket(env: NodeJS.ProcessEnv): number | undefined {
  const meant = env.LISTEN_PID === String(process.pid)
  const count = Number(env.LISTEN_FDS ?? 0)
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name]
  return meant && count >= 1 ? FIRST_DESCRIPTOR : undefined
}
