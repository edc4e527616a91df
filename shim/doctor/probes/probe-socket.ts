import { connect } from 'node:net'
import { codeOf } from '../../../lib/error-code.ts'
import { type Finding, failed, skipped } from './finding.ts'

/** Why a unix socket does not accept connections; undefined if it does. `start` says how to start its server. */
export async function probeSocket(path: string, start: string): Promise<Finding | undefined> {
  switch (await connectError(path)) {
    case undefined:
      return undefined
    case 'ENOENT':
    case 'ENOTDIR':
      return failed(`there is no ${path}`, start)
    case 'EACCES':
    case 'EPERM':
      return skipped(`${path} is not for this user: only root can look`)
    case 'ECONNREFUSED':
      return failed(`nobody listens at ${path}`, start)
    default:
      return failed(`${path} cannot be connected to`, start)
  }
}

function connectError(path: string): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = connect(path)
    const end = (code: string | undefined) => {
      socket.destroy()
      resolve(code)
    }
    socket.once('connect', () => end(undefined)).once('error', error => end(codeOf(error) ?? 'unknown'))
  })
}
