/** Folders that only root can write. In the folders of our own PATH, others might choose what root runs. */
export const SYSTEM_PATH = '/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin'
