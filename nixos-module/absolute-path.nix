# Of the machine, not of the store: a Nix path would be copied there. systemd would take the other characters for more than text.
{ lib }: lib.types.strMatching "/[^[:space:]%$\"'\\;]*" // { description = "absolute path as a string"; }
