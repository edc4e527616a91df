/** Socket that the shim serves by default. */
export const DEFAULT_SOCKET = '/run/enbi-shim/enbi-shim.sock'
/** Config file of a node by default. */
export const DEFAULT_CONFIG = '/etc/enbi-shim/config.yaml'
