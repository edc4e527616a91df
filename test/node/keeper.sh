#!/bin/sh
# Runs a private namespace (namespace.sh) for as long as standard input is held open, then removes every trace of it.
# Lives in a session of its own: it cleans up after Ctrl-C and after SIGKILL of whoever started it, too.
# Usage: keeper.sh DIR PROGRAMS
dir=$1
here=$(dirname "$0")

unshare --mount --pid --fork --kill-child --propagation private sh "$here/namespace.sh" "$dir" "$2"
status=$?

# Every process has ended with the namespace's first one, and every mount with the last.
for cgroup in $(find /sys/fs/cgroup -depth -type d -path "*/${dir##*/}*" 2>/dev/null); do
  rmdir "$cgroup" 2>/dev/null || { sleep 0.2; rmdir "$cgroup"; }
done
rm -rf --one-file-system "$dir"
exit "$status"
