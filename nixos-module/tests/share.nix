# A node signs and serves what it builds, and another node accepts it only with its key.
{ node, ... }:
let
  sharing = {
    imports = [ node ];
    virtualisation.containerd.enable = true;
    services.enbi-shim.share.enable = true;
  };
  made = ''derivation { name = "made"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo made > $out" ]; }'';
in
{
  name = "enbi-shim-share";

  nodes = {
    one = { imports = [ sharing ]; networking.hostName = "one"; };
    other = { imports = [ sharing ]; networking.hostName = "other"; };
  };

  testScript = ''
    start_all()
    one.wait_for_unit("enbi-share-key.service")
    one.wait_for_open_port(5000)
    other.wait_for_unit("multi-user.target")

    with subtest("The key is made on the node, and only root can read it"):
        key = one.succeed("cat /var/lib/enbi-share/public-key").strip()
        t.assertTrue(key.startswith("one.enbi-1:"))
        one.succeed("stat --format=%a /var/lib/enbi-share/secret-key | grep -x 600")

    with subtest("Harmonia serves the signature of what the node has built"):
        path = one.succeed("""nix-build --no-out-link --option substitute false --expr '${made}'""").strip()
        digest = path.removeprefix("/nix/store/").split("-")[0]
        narinfo = other.succeed(f"curl --fail --silent http://one:5000/{digest}.narinfo")
        t.assertIn("Sig: one.enbi-1:", narinfo)

    copy = f"nix --extra-experimental-features nix-command copy --from http://one:5000 {path}"

    with subtest("Another node refuses it without its key, and accepts it with it"):
        other.fail(copy)
        other.succeed(f"{copy} --option trusted-public-keys '{key}'")
        other.succeed(f"grep -x made {path}")
  '';
}
