# What evaluation can tell of where paths lie.
{ fileSystems, lib }:
let
  contains = mountPoint: path: mountPoint == "/" || mountPoint == path || lib.hasPrefix "${mountPoint}/" path;
  longest = lib.foldl' (best: next: if lib.stringLength next > lib.stringLength best then next else best) "/";

  isBind = mount: lib.any (option: option == "bind" || option == "rbind") (mount.options or [ ]);

  # Where a path's files are mounted, the far end of bind mounts.
  mountPointOf = mounts: path:
    let
      mountPoint = longest (lib.filter (point: contains point path) (lib.attrNames mounts));
      mount = mounts.${mountPoint} or { };
    in
    if isBind mount then
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
  isInMemory = path: fileSystems.${mountPoint path}.fsType or null == "tmpfs";

  # Folders below a mount point, relative to it, that are bound to other places, but for those that some paths lie in.
  boundFrom = view: but:
    let
      start = if view == "/" then "/" else "${view}/";
      isOther = point: mount:
        isBind mount && lib.hasPrefix start mount.device && !lib.any (path: contains point path || contains mount.device path) but;
    in
    map (mount: lib.removePrefix start mount.device) (builtins.attrValues (lib.filterAttrs isOther fileSystems));
}
