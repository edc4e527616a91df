#!/bin/sh
# Runs a private namespace (namespace.sh) for as long as standard input is held open, then removes every trace of it.
# Lives in a session of its own: it cleans up after Ctrl-C and after SIGKILL of whoever started it, too.
# Usage: keeper.sh DIR PROGRAMS SIZE
dir=$1
here=$(dirname "$0")

exec 3<&0
unshare --mount --pid --fork --kill-child --propagation private sh "$here/namespace.sh" "$dir" "$2" "$3" <&3 &
unshare=$!
# Who reads what the namespace says is to see its end.
exec >&-

# Held open, the mount namespace keeps its number. A new one, of any program, would get it as soon as it is free, and be taken
# for this one below. From the start: at the end of the input the namespace is gone before it could be opened.
mounts=
while kill -0 "$unshare" 2>/dev/null; do
  if [ -s "$dir/mount-namespace" ] && read -r pid mounts <"$dir/mount-namespace"; then
    command exec 4<"/proc/$pid/ns/mnt" || mounts=
    break
  fi
  sleep 0.01
done 2>/dev/null
cat <&3 >/dev/null

# Not `wait`: the kernel keeps a pid namespace until the last of its dead is reaped, and an orphan's new parent may be a first
# process that never does that, as in a container. A process that is dead has let go of its mounts. `unshare` has them, too;
# with it dies the namespace's first process, and with that all others.
kill -KILL "$unshare" 2>/dev/null
# What was brought in from outside dies with what it started, but not while it is stopped (SIGSTOP).
inside() {
  ls -l /proc/[0-9]*/ns/mnt 2>/dev/null | grep -F "$mounts" | sed 's#.* /proc/##; s#/.*##'
}
if [ -n "$mounts" ]; then
  while pids=$(inside) && [ -n "$pids" ]; do
    kill -KILL $pids 2>/dev/null
    sleep 0.02
  done
fi
exec 4<&-

# containerd names the cgroups of a kubelet's pods after their containers. The machine may have very many others.
tops=${dir##*/}
for container in "$dir"/containerd/state/io.containerd.runtime.v2.task/k8s.io/*; do
  [ -e "$container" ] && tops="$tops k8s.io/${container##*/}"
done
for cgroup in $(cd /sys/fs/cgroup && for top in $tops; do find "$PWD/$top" "$PWD"/*/"$top" -depth -type d; done 2>/dev/null); do
  # Whoever is in it dies, with all the mounts of a namespace of its own perhaps.
  tries=0
  until rmdir "$cgroup" 2>/dev/null || [ "$tries" -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
done
rm -rf --one-file-system "$dir"
