/** Where the shim listens unless its config says otherwise. */
export const DEFAULT_SOCKET = '/run/enbi-shim/enbi-shim.sock'
