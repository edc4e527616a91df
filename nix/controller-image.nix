# The controller as an image: a script that streams it, whose store paths the shim links into place without running it.
{ lib, dockerTools, nodejs-slim, enbi-controller }:
dockerTools.streamLayeredImage {
  name = "enbi-controller";
  tag = enbi-controller.version;
  config = {
    # Node itself, and not the program with its flags: these would count more than the NODE_OPTIONS of a Deployment.
    Entrypoint = [ (lib.getExe nodejs-slim) "${enbi-controller}/lib/enbi-controller/dist/controller/main.js" ];
    User = "65532:65532";
    ExposedPorts = { "9470/tcp" = { }; "9471/tcp" = { }; };
    Labels = {
      "org.opencontainers.image.title" = "enbi-controller";
      "org.opencontainers.image.description" = enbi-controller.meta.description;
      "org.opencontainers.image.version" = enbi-controller.version;
      "org.opencontainers.image.licenses" = "Apache-2.0";
    };
  };
}
