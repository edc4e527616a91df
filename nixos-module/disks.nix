# What evaluation can tell of where paths lie.
{ fileSystems, lib }:
let
  contains = mountPoint: path: mountPoint == "/" || mountPoint == path || lib.hasPrefix "${mountPoint}/" path;
  longest = lib.foldl' (best: next: if lib.stringLength next > lib.stringLength best then next else best) "/";

  # Where a path's files are mounted, the far end of bind mounts.
  mountPointOf = mounts: path:
    let
      mountPoint = longest (lib.filter (point: contains point path) (lib.attrNames mounts));
      mount = mounts.${mountPoint} or { };
      isBind = lib.any (option: option == "bind" || option == "rbind") (mount.options or [ ]);
    in
    if isBind then
      # Without it: a folder may be bound onto itself.
      mountPointOf (removeAttrs mounts [ mountPoint ]) (mount.device + lib.removePrefix mountPoint path)
    else
      mountPoint;

  mountPoint = mountPointOf fileSystems;
in
{
  # Mount point of both, "/" when they have none in common.
  shared = one: other: if mountPoint one == mountPoint other then mountPoint one else "/";
  areTogether = one: other: mountPoint one == mountPoint other;
}
