# What goes wrong. `busybox` (static) is to lie beside this file.
{
  outputs = { self }:
    let
      packagesFor = system:
        let
          run = name: script:
            derivation {
              inherit name system;
              builder = "${self}/busybox";
              args = [ "sh" "-euc" "${self}/busybox mkdir tools; ${self}/busybox --install -s tools; PATH=$PWD/tools; ${script}" ];
            };
        in
        {
          # 10,000 lines of log, then the reason, then the end.
          chatty = run "chatty" ''
            seq 1 10000 | sed 's/^/step /'
            echo "cc: fatal error: hello.c: no such file"
            exit 1
          '';
          no-evaluation = throw "this package is broken on purpose";
          foreign = derivation {
            name = "foreign";
            system = "riscv64-linux";
            builder = "/bin/sh";
          };
        };
    in
    {
      packages = {
        x86_64-linux = packagesFor "x86_64-linux";
        aarch64-linux = packagesFor "aarch64-linux";
        riscv64-linux.only-here = packagesFor "riscv64-linux";
      };
    };
}
