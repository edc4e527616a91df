# makeWrapper PROGRAM WRAPPER [--add-flags FLAGS] [--suffix VARIABLE SEPARATOR VALUE]...
makeWrapper() {
  local program=$1 wrapper=$2 flags=
  shift 2
  mkdir -p "$(dirname "$wrapper")"
  echo '#!/bin/bash -e' >"$wrapper"
  while [ $# -gt 0 ]; do
    case $1 in
      --add-flags)
        flags+=" $2"
        shift 2
        ;;
      --suffix)
        echo "export $2=\${$2:+\$$2$3}$4" >>"$wrapper"
        shift 4
        ;;
      *)
        echo "makeWrapper does not know $1" >&2
        return 1
        ;;
    esac
  done
  echo "exec $program$flags \"\$@\"" >>"$wrapper"
  chmod 755 "$wrapper"
}
