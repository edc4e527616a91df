/** Where a node's config lies, by every page and unit. */
export const DEFAULT_CONFIG = '/etc/enbi-shim/config.yaml'
