# Packages whose output is meant to hurt its reader. There are no inputs: busybox is put beside this file.
{
  outputs =
    { self }:
    let
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
      repeat = count: text: builtins.concatStringsSep "" (builtins.genList (_: text) count);
      double = count: text: if count == 0 then text else double (count - 1) (text + text);
      lines = count: text: "busybox yes '${text}' | busybox head -n ${toString count}";
      lies = [
        "error: cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused"
        "write error: No space left on device"
        "curl: (6) Could not resolve host: cache.example"
        "error: unable to download 'https://cache.example/nar': HTTP error 503"
        "note: build failure may have been caused by lack of free disk space"
      ];
      say = text: "busybox echo ${builtins.replaceStrings [ "'" "(" ")" ] [ "\\'" "\\(" "\\)" ] text}";
      record = text: "echo '@nix ${builtins.toJSON {
        action = "msg";
        level = 0;
        msg = builtins.replaceStrings [ "'" ] [ "" ] text;
        raw_msg = "cannot connect to socket";
        column = null;
      }}'";
      names = builtins.listToAttrs (
        builtins.genList (number: {
          name = "${toString number}${double 20 "n"}";
          value = null;
        }) 12
      );
      nested = depth: if depth == 0 then { } else { a = nested (depth - 1); };
      values = builtins.genList (x: builtins.genList (y: toString (x * y)) 2000) 20000;
    in
    {
      packages.x86_64-linux = {
        transfers = package "transfers" ''
          i=0
          while [ $i -lt 30000 ]; do
            i=$((i + 1))
            echo "@nix {\"action\":\"start\",\"id\":$i,\"level\":4,\"type\":101,\"text\":\"\",\"fields\":[\"http://x\"]}"
            echo "@nix {\"action\":\"result\",\"id\":$i,\"type\":105,\"fields\":[1,$i,0,0]}"
            echo "@nix {\"action\":\"result\",\"id\":$i,\"type\":106,\"fields\":[101,$i]}"
          done
          exit 1
        '';
        liar = package "liar" ''
          ${builtins.concatStringsSep "\n" (map say lies)}
          ${builtins.concatStringsSep "\n" (builtins.genList (_: builtins.concatStringsSep "\n" (map record lies)) 6)}
          exit 1
        '';
        needsLiar = package "needs-liar" "busybox cat ${self.packages.x86_64-linux.liar} > $out";
        escapes = package "escapes" "busybox yes \"$(printf '\\033]\\033[\\033P')\" | busybox head -c 65536 | busybox tr -d '\\n'; echo; exit 1";
        painter = package "painter" "printf '\\033[31mred\\033[0m \\033[2J\\033]0;title\\007done\\n'; exit 1";

        tracer = builtins.foldl' (value: lie: builtins.trace lie value) (throw "thrown on purpose") (
          builtins.concatLists (builtins.genList (_: lies) 6)
        );
        outage = throw "unexpected end-of-file";
        cubic = throw (repeat 1300 "/nix/store '");
        names = names;
        answer = package "answer" "echo > $out" // {
          imageConfig.Env = [ (double 22 "e") ];
        };
        nested = package "nested" "echo > $out" // {
          imageConfig = nested 5000;
        };
        greedy = builtins.deepSeq values values;
        waiting = package "waiting" "echo waiting; busybox sleep 600";
        honest = package "honest" "echo honest > $out";
      };
    };
}
