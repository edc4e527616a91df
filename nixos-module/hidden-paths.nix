# What is not to be reached through the view of `/`, which has to be writable for links: what is root's, users', secret, or run by others.
[
  "boot"
  "etc"
  "home"
  "nix/var"
  "opt"
  "root"
  "usr"
  "var/lib/kubelet"
  "var/lib/kubernetes"
  "var/lib/rancher/k3s/server"
  "var/log"
  "var/spool"
]
