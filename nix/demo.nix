# `npm run demo` where Nix is there already: in a copy of the project that can be written to, kept for the next time.
{ lib, writeShellScript, coreutils, nodejs, source }:
writeShellScript "enbi-shim-demo" ''
  set -eu
  PATH=${lib.makeBinPath [ nodejs coreutils ]}:$PATH
  copy=''${XDG_CACHE_HOME:-$HOME/.cache}/enbi-shim/demo-${builtins.substring 0 32 (baseNameOf source)}
  if [ ! -e "$copy" ]; then
    mkdir -p "$(dirname "$copy")"
    cp -r ${source} "$copy.part-$$"
    chmod -R u+w "$copy.part-$$"
    mv "$copy.part-$$" "$copy"
  fi
  cd "$copy"
  exec npm run demo "$@"
''
