#!/bin/sh
# Run once in a node's namespace: lets kubelet and CNI plugins write where they cannot be told otherwise, without a trace on the machine.
# Usage: kubelet-mounts.sh DIR CGROUP
set -eu
dir=$1
cgroup=$2

# They set these for the whole kernel.
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
  kernel/keys/root_maxbytes net/ipv4/ip_forward; do
  [ -e "/proc/sys/$name" ] || continue
  mkdir -p "$dir/sysctl/${name%/*}"
  cat "/proc/sys/$name" >"$dir/sysctl/$name"
  mount --bind "$dir/sysctl/$name" "/proc/sys/$name"
done

# own PARENT NAME...: what is in the folder stays as it is, but for the node's own folders of these names
own() {
  parent=$1
  shift
  copy=$dir/own$parent
  mkdir -p "$copy"
  mount -t tmpfs -o mode=755 tmpfs "$copy"
  for entry in "$parent"/*; do
    name=${entry##*/}
    case " $* " in *" $name "*) continue ;; esac
    if [ -L "$entry" ]; then
      cp -P "$entry" "$copy/$name"
    elif [ -d "$entry" ]; then
      mkdir "$copy/$name"
      mount --rbind "$entry" "$copy/$name"
    elif [ -e "$entry" ]; then
      : >"$copy/$name"
      mount --bind "$entry" "$copy/$name"
    fi
  done
  for name in "$@"; do mkdir -p "$copy/$name"; done
  mount --rbind "$copy" "$parent"
}

own /var/lib cni kubelet
own /var/log containers enbi-shim pods

# The kubelet expects the cgroup of all of its pods to be there.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir "/sys/fs/cgroup/$cgroup"
else
  for controller in /sys/fs/cgroup/*/; do mkdir "$controller$cgroup" 2>/dev/null || :; done
fi
