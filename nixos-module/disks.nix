# What an evaluation knows about the file systems of paths.
{ fileSystems, lib }:
let
  contains = mountPoint: path: mountPoint == "/" || mountPoint == path || lib.hasPrefix "${mountPoint}/" path;
  longest = lib.foldl' (best: next: if lib.stringLength next > lib.stringLength best then next else best) "/";

  isBind = mount: lib.any (option: option == "bind" || option == "rbind") (mount.options or [ ]);

  # Where the files of a path are, after all bind mounts.
  followed = mounts: path:
    let
      point = pointOf mounts path;
      mount = mounts.${point} or { };
    in
    if isBind mount then
      # Without it: a folder may be bound onto itself.
      followed (removeAttrs mounts [ point ]) (mount.device + lib.removePrefix point path)
    else
      { inherit path point; };

  pointOf = mounts: path: longest (lib.filter (point: contains point path) (lib.attrNames mounts));

  mountPoint = path: (followed fileSystems path).point;
  realPath = path: (followed fileSystems path).path;

  # Relative to a folder, which ends with a slash; null when it is not below.
  below = start: path: if lib.hasPrefix start path && path != start then lib.removePrefix start path else null;
  startOf = view: if view == "/" then "/" else "${view}/";
in
{
  inherit mountPoint realPath;
  areTogether = one: other: mountPoint one == mountPoint other;
  isInMemory = path: fileSystems.${mountPoint path}.fsType or null == "tmpfs";

  # Folders below a mount point, relative to it, that are bound to other places, except those that contain some paths.
  boundFrom = view: but:
    let
      start = startOf view;
      isOther = point: mount:
        isBind mount && lib.hasPrefix start mount.device && !lib.any (path: contains point path || contains mount.device path) but;
    in
    map (mount: lib.removePrefix start mount.device) (builtins.attrValues (lib.filterAttrs isOther fileSystems));

  # Those of some paths that a folder shows, relative to it, except those that contain some other paths.
  shown = view: but: paths:
    let
      real = map realPath but;
      isOther = path: !lib.any (contains path) real;
    in
    lib.filter (path: path != null) (map (below (startOf view)) (lib.filter isOther (map realPath paths)));
}
