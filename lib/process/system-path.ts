/** Folders that root alone can write: in those of our own PATH others may choose what root runs. */
export const SYSTEM_PATH = '/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin'
