# What `npm ci --omit=dev --omit=optional` would install: the tarball of each package, by its path below the lock file. Each is held
# against the hash that the lock file has of it, so that there is no other hash to be kept up to date.
{ lib, fetchNpmPackage }:
lockFile:
let
  isWanted = path: { dev ? false, optional ? false, devOptional ? false, ... }:
    path != "" && !(dev || optional || devOptional);

  fetch = path: { version, integrity, name ? lib.last (lib.splitString "node_modules/" path), ... }:
    fetchNpmPackage { inherit name version integrity; };
in
lib.mapAttrs fetch (lib.filterAttrs isWanted (lib.importJSON lockFile).packages)
