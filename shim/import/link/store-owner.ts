import { stat } from 'node:fs/promises'

const STORE = '/nix/store'
const DATABASE = '/nix/var/nix/db'

/** Uid of a user other than root that can change what is in the store, or what Nix believes of it; undefined when there is none. */
export async function strangeStoreOwner(): Promise<number | undefined> {
  const owners = await Promise.all(
    [STORE, DATABASE].map(path =>
      stat(path).then(
        ({ uid }) => uid,
        () => 0,
      ),
    ),
  )
  return owners.find(uid => uid !== 0)
}
