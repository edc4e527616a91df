# Directives that are the same on every node; deploy/systemd/enbi-shim.service has them, too.
import ./hardening.nix // {
  Type = "notify";
  # systemd-notify tells, a child process: under its own PID, as CAP_SYS_ADMIN is needed for another.
  NotifyAccess = "all";
  Restart = "always";
  RestartSec = "1s";
  # Running builds get shutdownTimeout (30s) to end: nix is not to be signalled beside the shim, which ends it.
  KillMode = "mixed";
  TimeoutStopSec = "90s";

  # If a child of the shim takes all memory, the kernel kills it, and the service continues.
  OOMPolicy = "continue";
  # After everything but the kubelet and Guaranteed pods: no container starts without the shim. Its children raise their own to 1000, above every pod's.
  OOMScoreAdjust = -900;

  # The build user walks through to its home and its gc roots.
  StateDirectoryMode = "0711";
  UMask = "0022";

  # No ProcSubset: nix counts the processors in /proc/stat, and complains into every log when it cannot.
  PrivateMounts = true;
  # To become the build user and end what it runs, own its folders, give a layer's files their owners and modes.
  CapabilityBoundingSet = "CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_DAC_OVERRIDE";
  # No RestrictSUIDSGID: an image may have such files. nix fetches flakes itself, by git and ssh as well.
  SystemCallFilter = [ "@system-service" "~@privileged" "@chown @setuid" ];
}
