# The phases of a derivation in nixpkgs' order, without what nixpkgs' own do besides.
PATH=/usr/bin:/bin
for input in ${nativeBuildInputs-}; do
  PATH=$input/bin:$PATH
  if [ -e "$input/nix-support/setup-hook" ]; then source "$input/nix-support/setup-hook"; fi
done

runHook() { eval "${!1-}"; }

cp -r "$src" source
chmod -R u+w source
cd source
for phase in configure build install; do
  script=${phase}Phase
  eval "${!script}"
done
if [ -n "${doInstallCheck-}" ]; then eval "$installCheckPhase"; fi
