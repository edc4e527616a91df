{ config, lib, pkgs, ... }:
let
  cfg = config.services.enbi-shim;
  inherit (cfg) settings;
  configFile = import ./config-file.nix {
    inherit lib pkgs;
    inherit (cfg) package settings;
  };
  disks = import ./disks.nix { inherit lib; inherit (config) fileSystems; };
  # Elsewhere no file of the store can be linked.
  canLink = settings.import.layers == "linked" && disks.areTogether "/nix/store" cfg.containerdRoot;
  # What shows both, on one mount; where containerd's folder is below /nix, little else.
  view = if lib.hasPrefix "/nix/" cfg.containerdRoot then disks.realPath "/nix" else disks.mountPoint "/nix/store";
  linked = [ "/nix/store" cfg.containerdRoot ];
  hidden = disks.shown view linked (map (path: "/${path}") (import ./hidden-paths.nix)) ++ disks.boundFrom view linked;
  ownUser = "enbi-shim";
  hasOwnUser = settings.nix.user == ownUser;
  credentials = lib.filterAttrs (_: path: path != null) {
    netrc = cfg.credentials.netrcFile;
    nixConf = cfg.credentials.nixConfFile;
    sshKey = cfg.credentials.sshKeyFile;
    knownHosts = cfg.credentials.knownHostsFile;
  };
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
      description = "CRI image service of enbi-shim";
      # The kubelet gives up at its start when nobody listens; the socket is there before any service is.
      before = [ "kubelet.service" "k3s.service" "k3s-agent.service" ];
      wantedBy = [ "sockets.target" ];
      socketConfig = {
        ListenStream = settings.listen;
        SocketMode = "0660";
        RemoveOnStop = true;
      };
    };

    systemd.services.enbi-shim = {
      description = "Nix builds, on image pull";
      # Ordered, never required: the end of containerd must end no build, nor a restart of this service a kubelet.
      after = [ "network.target" "nix-daemon.socket" "containerd.service" ];
      wants = [ "nix-daemon.socket" ];
      before = [ "kubelet.service" "k3s.service" "k3s-agent.service" ];
      requires = [ "enbi-shim.socket" ];
      wantedBy = [ "multi-user.target" ];
      # At a new generation it is down for as short a time as can be.
      stopIfChanged = false;
      path = [ config.nix.package pkgs.gitMinimal pkgs.openssh ];
      # Where nix runs as root (nix.user: null) it would open the store itself, which is read-only here.
      environment.NIX_REMOTE = "daemon";
      # Where the service has systemd's own: see below.
      environment.NOTIFY_SOCKET = "/run/enbi-shim/notify/socket";
      # No container of the node starts without it, so systemd restarts it indefinitely.
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = import ./service.nix // {
        ExecStart = "${lib.getExe cfg.package} serve --config ${configFile}";
        # containerd's snapshots get hard links to files of the store, through a mount that shows both: links between two mounts cannot be made.
        ReadWritePaths = [ "-${cfg.containerdRoot}" ] ++ lib.optional (!isInVarLib) settings.stateDir;
        # systemd takes notifications from all processes of the service, so nobody but root gets as far as its socket, nor as the other mount.
        TemporaryFileSystem = [ "/run/enbi-shim/notify:ro,mode=0700" ] ++ lib.optional canLink "/run/enbi-shim/view:ro,mode=0700";
        BindPaths = [ "/run/systemd/notify:/run/enbi-shim/notify/socket" ] ++ lib.optional canLink "${view}:/run/enbi-shim/view/root:norbind";
        InaccessiblePaths = [ "/run/systemd/notify" ] ++ lib.optionals canLink (map (path: "-/run/enbi-shim/view/root/${path}") hidden);
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
    ] ++ lib.optional (!isInVarLib) "d ${settings.stateDir} 0711 root root";

    users.users = lib.mkIf hasOwnUser {
      ${ownUser} = {
        isSystemUser = true;
        group = ownUser;
        description = "enbi-shim builds";
        # Root's: credentials of private repositories are put there.
        home = "${settings.stateDir}/build-home";
      };
    };
    users.groups = lib.mkIf hasOwnUser { ${ownUser} = { }; };

    # Of allowed-users itself a definition would replace the default, which lets everybody in.
    nix.settings = lib.mkIf (settings.nix.user != null) { extra-allowed-users = [ settings.nix.user ]; };

    environment.systemPackages = [ cfg.package ];

    networking.firewall = lib.mkIf (cfg.openFirewallForMetrics && settings.metrics != null) {
      allowedTCPPorts = [ (lib.toInt (lib.last (lib.splitString ":" settings.metrics.address))) ];
    };
  };
}
