import { once } from 'node:events'
import { join } from 'node:path'
import { execa } from 'execa'
import { PYTHON, PYTHON_ENV } from '../../test/node/python.ts'
import { PATIENCE_MS } from '../../test/patience.ts'

/** A listening socket that stays open while the program that serves it is restarted, as a socket of systemd does. */
export interface HeldSocket extends AsyncDisposable {
  readonly path: string
  /** Runs the program and arguments that follow it, with the socket handed over as systemd does: sd_listen_fds(3). */
  readonly command: readonly string[]
}

const HOLD = `
import socket, sys
path, giver = sys.argv[1:]
held = socket.create_server(path, family=socket.AF_UNIX)
with socket.create_server(giver, family=socket.AF_UNIX) as server:
    print('ready', flush=True)
    while True:
        with server.accept()[0] as taker:
            socket.send_fds(taker, [b'-'], [held.fileno()])
`

const TAKE = `
import os, socket, sys
giver, *command = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(giver)
    held = socket.recv_fds(connection, 1, 1)[1][0]
os.dup2(held, 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
`

/** `dir`: a folder for the socket. */
export async function holdSocket(dir: string): Promise<HeldSocket> {
  const path = join(dir, 'image.sock')
  const giver = join(dir, 'giver.sock')
  const holder = execa(PYTHON, ['-I', '-c', HOLD, path, giver], { env: PYTHON_ENV, reject: false })
  await once(holder.stdout, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const end = async () => {
    holder.kill()
    await holder
  }
  return { path, command: [PYTHON, '-I', '-c', TAKE, giver], [Symbol.asyncDispose]: end }
}
