# The tarball of one package, checked against its hash in the lock file.
{ lib, stdenvNoCC, nodejs, cacert }:
{ name, version, integrity }:
stdenvNoCC.mkDerivation {
  name = "${baseNameOf name}-${version}.tgz";
  nativeBuildInputs = [ nodejs ];
  buildCommand = "sh ${./fetch-npm-package.sh} ${name}@${version} $out";

  outputHash = integrity;
  outputHashMode = "flat";

  # The registry is npm's own unless the builder's environment has another.
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "npm_config_registry" ];
  NODE_EXTRA_CA_CERTS = "${cacert}/etc/ssl/certs/ca-bundle.crt";
  preferLocalBuild = true;
}
