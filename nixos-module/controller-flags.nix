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
    node-repel = flag types.str "Nodes that NixBuilds made by hand are never given to, by their labels.";
    keep-finished = flag types.ints.unsigned "Finished NixBuilds that are kept in each namespace, beyond those of living pods.";
    keep-finished-for = flag types.str "How long they are kept.";
    unwanted-grace = flag types.str "How long a build goes on that no living pod waits for.";
    lost-grace = flag types.str "How long a node is lost before its builds go to another.";
    max-tries = flag types.ints.positive "Nodes that may lose a NixBuild made by hand before it is given up.";
    listen = flag types.str "Where `/metrics`, `/healthz` and `/readyz` are served.";
    health-listen = flag types.str "Where `/healthz` and `/readyz` are also served, without `/metrics`.";
    leader-elect-lease = flag types.str "How long others wait for an active one that is silent.";
    leader-elect-renew = flag types.str "How long the active one goes on when it cannot renew.";
    leader-elect-retry = flag types.str "Time between two tries to become or to stay active.";
    log-level = flag (types.enum [ "trace" "debug" "info" "warn" "error" ]) "What is logged.";
  };
}
