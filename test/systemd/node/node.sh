#!/bin/sh
# Starts a node that systemd runs, in mount, pid, cgroup, ipc and uts namespaces of its own within those of a test bed. Its root is a
# folder of the bed, so that /nix and /var/lib are on one mount, as on a machine with one file system. It has no unit of the machine.
# Usage: node.sh DIR
# DIR: the bed's folder. Its `usr` and `etc` are laid over the machine's. `systemd.pid` is written into it, with the machine's number.
set -eu
dir=$1
here=$(dirname "$0")

# The node sees its own cgroup as the root. The end of the bed removes the cgroup by this name.
if [ "${2-}" != inside ]; then
  read -r _ hierarchy _ <<MOUNT
$(grep ' cgroup2 ' /proc/mounts)
MOUNT
  mkdir -p "$hierarchy/${dir##*/}"
  echo $$ >"$hierarchy/${dir##*/}/cgroup.procs"
  exec unshare --mount --pid --cgroup --ipc --uts --fork --kill-child --propagation private sh "$0" "$dir" inside
fi

read -r pid _ <"$dir/hostproc/self/stat"
echo "$pid" >"$dir/systemd.pid"
root=$dir/node
mkdir -p "$root" "$dir/work-usr" "$dir/work-etc"
mount --bind "$root" "$root"
cd "$root"
mkdir -p usr etc nix var/lib var/log var/tmp srv run proc sys dev tmp root home boot .old
chmod 1777 tmp var/tmp
for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
# Relative, because a path may contain a comma, which separates options of mount.
(cd "$dir" && mount -t overlay -o lowerdir=/usr,upperdir=usr,workdir=work-usr overlay "$root/usr")
(cd "$dir" && mount -t overlay -o lowerdir=/etc,upperdir=etc,workdir=work-etc overlay "$root/etc")
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
cp "$here/units/"* etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs run
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
# The pods' log files of containerd are read here from outside.
mkdir -p "$dir/pods" "$root$dir/pods"
mount --bind "$dir/pods" "$root$dir/pods"

pivot_root . .old
mount -t proc proc /proc
# systemd would raise limits of the whole machine.
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
umount -l /.old
rmdir /.old
# As systemd sets it up outside of containers.
mount --make-rshared /

base=/run/base-units
mkdir -p "$base/sysinit.target.wants"
for name in sysinit.target basic.target sockets.target multi-user.target shutdown.target local-fs.target network.target \
  systemd-journald.service systemd-journald.socket; do
  cp "/lib/systemd/system/$name" "$base"
done
ln -s ../systemd-journald.socket "$base/sysinit.target.wants"
exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "SYSTEMD_UNIT_PATH=/etc/systemd/system:$base" \
  /lib/systemd/systemd --system --unit=multi-user.target --show-status=no
