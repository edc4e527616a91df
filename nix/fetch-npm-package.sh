# Fetches the tarball of one package from npm's registry, whichever that is, just as it lies there.
# Usage: fetch-npm-package.sh NAME@VERSION FILE
set -eu
dir=$(mktemp -d)
HOME=$dir npm pack --silent --pack-destination "$dir" "$1" >&2
mv "$dir"/*.tgz "$2"
rm -r "$dir"
