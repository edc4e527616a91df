# One of the project's programs, bundled: what is left of it are a few files that Node runs.
{ lib
, callPackage
, stdenvNoCC
, makeWrapper
, esbuild
, nodejs
, nodejs-slim
, bash
, coreutils
, gitMinimal
, util-linuxMinimal
  # A name in package.json's `bin`.
, program ? "enbi-shim"
, fetchNpmPackage ? callPackage ./nix/fetch-npm-package.nix { }
}:
let
  manifest = lib.importJSON ./package.json;
  main = manifest.bin.${program};
  oldestNode = lib.removePrefix ">=" manifest.engines.node;

  about = {
    enbi-shim = {
      inherit (manifest) description;
      # nix is not among them: it has to fit the node's daemon, and is there where there is a store.
      runs = [
        bash # its sh, in a mount namespace of the shim's own
        coreutils # cat, in the same place; id
        gitMinimal # for nix, which fetches flakes with it
        util-linuxMinimal # unshare and mount, for that namespace
      ];
    };
    kubectl-nixbuild = {
      description = "A plugin of kubectl for images that Nix builds on the nodes";
      runs = [ ];
    };
    enbi-controller = {
      description = "The cluster's bookkeeper for images that Nix builds on the nodes";
      runs = [ ];
    };
  }.${program};

  dependencies = import ./nix/npm-dependencies.nix { inherit lib fetchNpmPackage; } ./package-lock.json;

  unpack = path: tarball: ''
    mkdir -p ${path}
    tar -xzf ${tarball} -C ${path} --strip-components=1 --no-same-owner
  '';
in
lib.throwIf (lib.versionOlder nodejs-slim.version oldestNode)
  "${program} needs Node ${oldestNode} or newer: override nodejs-slim, which is ${nodejs-slim.version}"
stdenvNoCC.mkDerivation {
  pname = program;
  inherit (manifest) version;

  src = lib.sourceByRegex ./. [
    "package\\.json"
    "tsconfig\\.json"
    "LICENSE"
    "(recipes|lib|kube|shim|controller|protos)(/.*)?"
  ];

  strictDeps = true;
  nativeBuildInputs = [ esbuild makeWrapper nodejs ];

  # Unpacked here and not linked to: the bundle tells where each part of it is from, and a store path in it would be kept for that.
  configurePhase = ''
    runHook preConfigure
    ${lib.concatStrings (lib.mapAttrsToList unpack dependencies)}
    runHook postConfigure
  '';

  buildPhase = ''
    runHook preBuild
    HOME=$TMPDIR npm run --ignore-scripts build
    runHook postBuild
  '';

  # Node's flags are those of the program's first line.
  installPhase = ''
    runHook preInstall
    top=$out/lib/${program}
    install -Dm644 -t $top package.json LICENSE
    cp -r protos $top/protos
    mkdir $top/dist
    cp -r ${dirOf main} $top/dist/
    makeWrapper ${lib.getExe nodejs-slim} $out/bin/${program} \
      --add-flags "$(sed -n '1s/^#!.* node //p' ${main}) $top/${main}" \
      ${lib.optionalString (about.runs != [ ]) "--suffix PATH : ${lib.makeBinPath about.runs}"}
    runHook postInstall
  '';

  # They are run by the wrapper: an interpreter of their own would only add to the closure.
  dontPatchShebangs = true;
  disallowedReferences = [ esbuild nodejs ];

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    test "$($out/bin/${program} --version)" = ${manifest.version}
    runHook postInstallCheck
  '';

  meta = {
    inherit (about) description;
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux;
    mainProgram = program;
  };
}
