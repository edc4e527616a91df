#!/bin/sh
# The first process of a private mount and pid namespace. Its root is a mirror of the machine's, but for its own /nix
# (the machine may have none, and gets none) and its own /run (containerd's shims put their sockets below /run/containerd).
# Prints "ready PID", the PID as the machine sees it; ends, and with it the whole namespace, at the end of its input.
# Usage: namespace.sh DIR PROGRAMS SIZE
# PROGRAMS: a folder with a `usr` that is laid over the machine's, if it is there.
# SIZE: makes /nix a disk of this size, in memory. By default it is a folder.
set -eu
dir=$1
programs=$2
size=$3
root=$dir/root

# mirror FROM TO EXCEPT...: every entry of one folder bound into another
mirror() {
  from=$1 to=$2
  shift 2
  for entry in "$from"/* "$from"/.[!.]*; do
    name=${entry##*/}
    case " $* " in *" $name "*) continue ;; esac
    if [ -L "$entry" ]; then
      ln -s "$(readlink "$entry")" "$to/$name"
    elif [ -d "$entry" ]; then
      mkdir "$to/$name"
      mount --rbind "$entry" "$to/$name"
    elif [ -e "$entry" ]; then
      : >"$to/$name"
      mount --bind "$entry" "$to/$name"
    fi
  done
}

# The machine's /proc is still here: it knows this process by the number that nsenter needs.
read -r pid _ </proc/self/stat
echo "$pid $(readlink /proc/self/ns/mnt)" >"$dir/mount-namespace"
mkdir "$root" "$dir/nix" "$dir/hostproc"
mount -t tmpfs -o mode=755 tmpfs "$root"
mirror "" "$root" nix run proc
if [ -d "$programs/usr" ]; then
  # Relative: the path may hold a comma, which means something to mount.
  (cd "$programs" && mount -t overlay -o lowerdir=usr:/usr overlay "$root/usr")
fi
mkdir "$root/nix" "$root/run" "$root/proc" "$root/.old"
if [ -n "$size" ]; then
  mount -t tmpfs -o "mode=755,size=$size" tmpfs "$root/nix"
else
  mount --bind "$dir/nix" "$root/nix"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mirror /run "$root/run" containerd runc netns cni nix enbi-shim
mount --bind /proc "$root$dir/hostproc"

cd "$root"
pivot_root . .old
mount -t proc proc /proc
umount -l /.old
rmdir /.old
umount -l "$root" 2>/dev/null || :

echo "ready $pid"
# A shell that waits reaps the orphans that end up with a namespace's first process.
exec 3<&0
cat <&3 >/dev/null &
wait
