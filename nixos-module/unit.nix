{ config, lib, pkgs, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (cfg) settings;
  configFile = import ./config-file.nix {
    inherit lib pkgs;
    inherit (cfg) package settings;
  };
  disks = import ./disks.nix { inherit lib; inherit (config) fileSystems; };
  # Between two file systems no file can be linked.
  canLink = settings.import.layers == "linked" && disks.areTogether "/nix/store" cfg.containerdRoot;
  # A folder that shows both on one mount. If containerd's folder is below /nix, it shows little else.
  view = if lib.hasPrefix "/nix/" cfg.containerdRoot then disks.realPath "/nix" else disks.mountPoint "/nix/store";
  linked = [ "/nix/store" cfg.containerdRoot ];
  hidden = disks.shown view linked (map (path: "/${path}") (import ./hidden-paths.nix) ++ secrets) ++ disks.boundFrom view linked;
  # Only the Nix daemon needs the key.
  secrets = lib.optional cfg.share.enable cfg.share.secretKeyFile;
  ownUser = "enbi-shim";
  hasOwnUser = settings.nix.user == ownUser;
  credentials = lib.filterAttrs (_: path: path != null) {
    netrc = cfg.credentials.netrcFile;
    nixConf = cfg.credentials.nixConfFile;
    sshKey = cfg.credentials.sshKeyFile;
    knownHosts = cfg.credentials.knownHostsFile;
  };
  # The folder of a store of files, to which the build user pushes.
  pushed = builtins.match "file://(/[^?#%]+)(\\?.*)?" (settings.share.push or "");
  pushDirs = if pushed == null then [ ] else [ (builtins.head pushed) ];
  # Not the folder itself, nor LogsDirectory: a pod with the node's /var/log could put something in its place, and then the service would not start.
  logPath = if isInVarLog then "/var/log" else settings.logDir;
  isInVarLog = lib.hasPrefix "/var/log/" settings.logDir;
  isInVarLib = lib.hasPrefix "/var/lib/" settings.stateDir;
in
{
  config = lib.mkIf cfg.enable {
    services.enbi-shim.settings = {
      policy = cfg.policy;
      kubernetes = lib.mkIf (cfg.kubeconfigFile != null) { kubeconfig = cfg.kubeconfigFile; };
      nix.credentials = lib.mkIf (credentials != { }) credentials;
    };

    systemd.sockets.enbi-shim = {
      description = "Socket of the image service enbi-shim";
      # The kubelet exits at its start if nothing listens, so the socket exists before any service.
      before = [ "kubelet.service" "k3s.service" "k3s-agent.service" ];
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = settings.listen;
        SocketMode = "0660";
        RemoveOnStop = true;
      };
    };

    systemd.services.enbi-shim = {
      description = "Image service for the kubelet that builds images with Nix";
      # Only ordered, not required: a stop of containerd must not stop this service, and its restart must not restart a kubelet.
      after = [ "network.target" "nix-daemon.socket" "containerd.service" ];
      wants = [ "nix-daemon.socket" ];
      before = [ "kubelet.service" "k3s.service" "k3s-agent.service" ];
      requires = [ "enbi-shim.socket" ];
      wantedBy = [ "multi-user.target" ];
      # Makes the restart at a new generation as short as possible.
      stopIfChanged = false;
      path = [ config.nix.package pkgs.gitMinimal pkgs.openssh ];
      # If nix runs as root (nix.user: null), it would open the store itself, which is read-only here.
      environment.NIX_REMOTE = "daemon";
      # Path of systemd's socket within the service, see below.
      environment.NOTIFY_SOCKET = "/run/enbi-shim/notify/socket";
      # No container of the node starts without it, so systemd restarts it indefinitely.
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = import ./service.nix // {
        ExecStart = "${lib.getExe cfg.package} serve --config ${configFile}";
        # Without one of these folders the service starts, and passes on what others can serve.
        # containerd's snapshots get hard links to files of the store, through a mount that shows both: links between two mounts are impossible.
        ReadWritePaths = [ "-${logPath}" "-${cfg.containerdRoot}" ] ++ lib.optional (!isInVarLib) "-${settings.stateDir}" ++ map (path: "-${path}") pushDirs;
        # systemd accepts notifications from all processes of the service, so only root can reach its socket, and the other mount.
        TemporaryFileSystem = [ "/run/enbi-shim/notify:ro,mode=0700" ] ++ lib.optional canLink "/run/enbi-shim/view:ro,mode=0700";
        BindPaths = [ "/run/systemd/notify:/run/enbi-shim/notify/socket" ] ++ lib.optional canLink "${view}:/run/enbi-shim/view/root:norbind";
        InaccessiblePaths = [ "/run/systemd/notify" ] ++ map (path: "-${path}") secrets ++ lib.optionals canLink (map (path: "-/run/enbi-shim/view/root/${path}") hidden);
      } // lib.optionalAttrs (cfg.memoryMax != null) {
        MemoryMax = cfg.memoryMax;
      } // lib.optionalAttrs isInVarLib {
        StateDirectory = lib.removePrefix "/var/lib/" settings.stateDir;
      } // lib.optionalAttrs (cfg.environmentFile != null) {
        EnvironmentFile = cfg.environmentFile;
      };
    };

    # They must exist when the service starts, which can be before the first start of containerd.
    systemd.tmpfiles.rules = [
      "d ${cfg.containerdRoot} 0700 root root"
    ] ++ lib.optional (!isInVarLib) "d ${settings.stateDir} 0711 root root"
      ++ lib.optional (!isInVarLog) "d ${settings.logDir} 0750 root root"
      ++ map (path: "d ${path} 0755 ${if settings.nix.user == null then "root" else settings.nix.user} -") pushDirs;

    users.users = lib.mkIf hasOwnUser {
      ${ownUser} = {
        isSystemUser = true;
        group = ownUser;
        description = "enbi-shim builds";
        # Root owns it, because credentials of private repositories are there.
        home = "${settings.stateDir}/build-home";
      };
    };
    users.groups = lib.mkIf hasOwnUser { ${ownUser} = { }; };

    # A definition of allowed-users itself would replace the default, which allows everybody.
    nix.settings = lib.mkIf (settings.nix.user != null) { extra-allowed-users = [ settings.nix.user ]; };

    environment.systemPackages = [ cfg.package ];

    networking.firewall = lib.mkIf (cfg.openFirewallForMetrics && settings.metrics != null) {
      allowedTCPPorts = [ (lib.toInt (lib.last (lib.splitString ":" settings.metrics.address))) ];
    };
  };
}
