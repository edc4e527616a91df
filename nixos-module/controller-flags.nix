{ lib }:
let
  inherit (lib) mkOption types;
  flag = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };
in
{
  options = {
    node-repel = flag types.str "Label selector of nodes to which the controller never gives a build.";
    tolerate = flag (types.listOf types.str) "Taints of nodes to which the controller may still give builds.";
    keep-finished = flag types.ints.unsigned "Finished NixBuilds to keep in each namespace, besides those of living pods.";
    keep-finished-for = flag types.str "How long to keep finished NixBuilds.";
    unwanted-grace = flag types.str "How long a build continues when no living pod waits for it.";
    lost-grace = flag types.str "How long a node must be lost before its builds move to another node.";
    builder-grace = flag types.str "How long a NixBuild for pods waits when none of their nodes can build it, before another node gets it.";
    max-tries = flag types.ints.positive "How many nodes may lose a NixBuild made by hand before it fails.";
    max-assigned = flag types.ints.positive "NixBuilds of each namespace that are assigned to nodes at the same time.";
    pod-conditions = flag (types.enum [ "true" "false" ]) "Whether to maintain the condition `enbi.hrzn.ee/ImageBuilt` of Pods.";
    listen = flag types.str "Address that serves `/metrics`, `/healthz` and `/readyz`.";
    health-listen = flag types.str "Additional address that serves only `/healthz` and `/readyz`.";
    leader-elect-lease = flag types.str "How long other replicas wait for an active one that does not renew its Lease.";
    leader-elect-renew = flag types.str "How long the active replica continues when it cannot renew its Lease.";
    leader-elect-retry = flag types.str "Time between two attempts to get or renew the Lease.";
    kube-api-qps = flag types.ints.positive "Requests per second to the API server, without those about the Lease of the active replica.";
    kube-api-burst = flag types.ints.positive "Requests that may exceed `kube-api-qps` after a pause.";
    log-level = flag (types.enum [ "trace" "debug" "info" "warn" "error" ]) "Least severe level to log.";
  };
}
