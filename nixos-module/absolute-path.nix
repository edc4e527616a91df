# Of the machine, not of the store: a Nix path would be copied there.
{ lib }: lib.types.strMatching "/.*" // { description = "absolute path as a string"; }
