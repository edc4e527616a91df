#!/bin/sh
# Runs the tests with Spegel in a network of their own, which ends with them. Spegel hides loopback addresses, so there is an interface
# with one address for each node, and the default route that the kubelet wants.
# Usage: SPEGEL=PATH run.sh
set -eu
if [ ! -x "${SPEGEL:-}" ]; then
  cat >&2 <<'TEXT'
SPEGEL must be the path of a spegel program. These tests know version 0.7.4. Make one outside of this repository:
  git clone --depth 1 --branch v0.7.4 https://github.com/spegel-org/spegel /tmp/spegel
  cd /tmp/spegel && CGO_ENABLED=0 go build -o spegel .
  SPEGEL=/tmp/spegel/spegel npm run test:spegel
TEXT
  exit 2
fi
export SPEGEL
node "$(dirname "$0")/../setup/setup.mjs" --cluster
exec unshare --net sh -euc '
ip link set lo up
ip link add nodes type veth peer name nodes-peer
ip addr add 10.77.0.1/24 dev nodes
ip addr add 10.77.0.2/24 dev nodes
ip link set nodes up
ip link set nodes-peer up
ip route add default via 10.77.0.254
# What asks for names gets no answer. It need not wait for that.
sed -n "s/^nameserver //p" /etc/resolv.conf | while read -r server; do ip route add unreachable "$server" || :; done
exec env vitest run --project spegel'
