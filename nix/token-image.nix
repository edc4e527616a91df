# The image of the DaemonSet enbi-token: a shell and the programs that its manifest runs (deploy/components/token).
{ dockerTools, busybox, version }:
dockerTools.streamLayeredImage {
  name = "enbi-token";
  tag = version;
  config = {
    Env = [ "PATH=${busybox}/bin" ];
    Labels = {
      "org.opencontainers.image.title" = "enbi-token";
      "org.opencontainers.image.version" = version;
    };
  };
}
