# Directives that are the same on every node. deploy/systemd/enbi-shim.service has them as well.
import ./hardening.nix // {
  Type = "notify";
  # The child process systemd-notify sends notifications under its own PID. Another PID would need CAP_SYS_ADMIN.
  NotifyAccess = "all";
  Restart = "always";
  RestartSec = "1s";
  # Running builds get shutdownTimeout (30s) to end. Only the shim gets the signal: it ends nix itself.
  KillMode = "mixed";
  TimeoutStopSec = "90s";

  # If a child of the shim takes all memory, the kernel kills it, and the service continues.
  OOMPolicy = "continue";
  # Killed after everything except the kubelet and Guaranteed pods: no container starts without the shim. Its children raise their score to 1000, above that of every pod.
  OOMScoreAdjust = -900;

  # The build user passes through it to its home and its gc roots.
  StateDirectoryMode = "0711";
  UMask = "0022";

  # No ProcSubset: nix counts the processors in /proc/stat, and warns in every log if it cannot.
  PrivateMounts = true;
  # To become the build user, end its processes, own its folders, and give the files of layers their owners and modes.
  CapabilityBoundingSet = "CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_DAC_OVERRIDE";
  # No RestrictSUIDSGID: an image may have such files. nix fetches flakes itself, also by git and ssh.
  SystemCallFilter = [ "@system-service" "~@privileged" "@chown @setuid" ];
}
