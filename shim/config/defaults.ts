/** Where the shim listens unless its config says otherwise. */
export const DEFAULT_SOCKET = '/run/enbi-shim/enbi-shim.sock'
/** Where the config of a node lies, as the units and the docs have it. */
export const DEFAULT_CONFIG = '/etc/enbi-shim/config.yaml'
