# Packages of every fate, without inputs: busybox and `gate` (a named pipe's path) are put beside this file.
{
  outputs =
    { self }:
    let
      gate = builtins.readFile ./gate;
      package =
        name: script:
        derivation {
          inherit name;
          system = "x86_64-linux";
          builder = "/bin/sh";
          args = [
            "-c"
            "export PATH=${./bin}; ${script}"
          ];
        };
    in
    {
      packages.x86_64-linux = rec {
        base = package "base" "echo making the base; echo base > $out";
        hello = package "hello" "echo hello from the builder; busybox cat ${base} > $out";
        linked = package "linked" "echo ${package "link" "echo ${base} $out > $out"} $out > $out";
        images.web = base;
        "flat.name" = hello;
        streamed = package "plain" "exit 9" // {
          stream = package "stream" "echo stream > $out";
        };
        documented = derivation {
          name = "documented";
          system = "x86_64-linux";
          builder = "/bin/sh";
          outputs = [
            "doc"
            "out"
          ];
          args = [
            "-c"
            "echo out > $out; echo doc > $doc"
          ];
        };
        tool = hello // {
          meta.mainProgram = "tool";
          imageConfig = {
            Cmd = [ "${hello}/bin/tool" ];
            ExposedPorts."80/tcp" = { };
          };
        };
        metaThrows = hello // {
          meta = throw "no meta";
        };
        metaOdd = hello // {
          meta.mainProgram = [ ];
        };
        configText = hello // {
          imageConfig = "User=nobody";
        };
        configThrows = hello // {
          imageConfig = throw "no config";
        };
        configLong = hello // {
          imageConfig.Labels.long = builtins.concatStringsSep "" (builtins.genList toString 20000);
        };
        identity = package "identity" "busybox id -u; busybox env; echo > $out";

        program = package "program" "echo '#!${./bin}/busybox sh' > $out; echo 'echo written' >> $out; busybox chmod +x $out";
        brokenProgram = package "broken" "echo '#!${./bin}/busybox sh' > $out; echo 'echo half; echo broken >&2; exit 3' >> $out; busybox chmod +x $out";

        waiting = package "waiting" "echo pid $$; exec busybox cat ${gate} > $out";
        waiting2 = package "waiting2" "echo pid $$; exec busybox cat ${gate} > $out";
        waiting4 = package "waiting4" "echo pid $$; exec busybox cat ${gate} > $out";
        waiting3 = package "waiting3" "echo pid $$; exec busybox cat ${gate} > $out";
        chatty = package "chatty" "i=0; while [ $i -lt 10000 ]; do echo line $i of many; i=$((i+1)); done; exit 3";
        loud = package "loud" "busybox yes abcdefghij | busybox head -c 5000000 | busybox tr -d '\\n'; exit 4";
        torrent = package "torrent" "busybox yes a line of a torrent | busybox head -n 200000; exit 5";
        needsChatty = package "needs-chatty" "busybox cat ${chatty} > $out";
        upsetting = package "upsetting" "echo '@nix {\"action\":\"start\",\"type\":\"x\"}' >&2; busybox sleep 1; echo > $out";
        full = package "full" "echo 'write error: No space left on device' >&2; exit 1";
        notFetched = package "not-fetched" "echo 'curl: (6) Could not resolve host: example.org'; exit 1";
        unfetched = derivation {
          name = "unfetched";
          system = "x86_64-linux";
          builder = "/bin/sh";
          args = [
            "-c"
            "echo no such host; exit 1"
          ];
          outputHashMode = "flat";
          outputHashAlgo = "sha256";
          outputHash = "0000000000000000000000000000000000000000000000000000";
        };
        liar = package "liar" "echo '@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"error: cannot connect to socket\"}'; exit 1";
        tracer = builtins.trace "error: cannot connect to socket" (throw "after a trace");
        mute = package "mute" "exit 1";
        suicide = package "suicide" "kill -9 $$";
        outless = package "outless" "true";
        mismatch = derivation {
          name = "mismatch";
          system = "x86_64-linux";
          builder = "/bin/sh";
          args = [
            "-c"
            "echo other > $out"
          ];
          outputHashMode = "flat";
          outputHashAlgo = "sha256";
          outputHash = "0000000000000000000000000000000000000000000000000000";
        };
        foreign = derivation {
          name = "foreign";
          system = "aarch64-linux";
          builder = "/bin/sh";
        };

        thrown = throw "thrown on purpose";
        endless = endless;
        impure = builtins.readFile "/etc/passwd";
        text = "no package";
      };
      packages.aarch64-linux.arm-only = derivation {
        name = "arm-only";
        system = "aarch64-linux";
        builder = "/bin/sh";
      };
    };
}
