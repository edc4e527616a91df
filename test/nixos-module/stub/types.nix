# A type has a name, a check of values, and a merge of the definitions of one option.
{ evalModules, filterAttrs, isDefined, mergeDefinitions, pushDown }:
let
  fail = loc: what: throw "The option `${builtins.concatStringsSep "." loc}' ${what}";

  single = description: check: {
    inherit description check;
    merge = loc: values:
      if builtins.all (value: value == builtins.head values) values then
        builtins.head values
      else
        fail loc "has conflicting definitions";
  };
  isIntFrom = least: value: builtins.isInt value && value >= least;

  types = {
    bool = single "boolean" builtins.isBool;
    str = single "string" builtins.isString;
    int = single "signed integer" builtins.isInt;
    float = single "floating point number" builtins.isFloat;
    ints.unsigned = single "unsigned integer, meaning >=0" (isIntFrom 0);
    ints.positive = single "positive integer, meaning >0" (isIntFrom 1);
    port = single "16 bit unsigned integer; between 0 and 65535 (both inclusive)" (value: builtins.isInt value && value >= 0 && value <= 65535);
    package = single "package" (value: value ? outPath);
    unspecified = single "unspecified value" (_: true);
    strMatching = pattern: single "string matching the pattern ${pattern}" (
      value: builtins.isString value && builtins.match pattern value != null
    );
    enum = values: single "one of ${builtins.concatStringsSep ", " (map builtins.toJSON values)}" (
      value: builtins.elem value values
    );

    nullOr = type: {
      description = "null or ${type.description}";
      check = value: value == null || type.check value;
      inner = type;
      merge = loc: values:
        if builtins.all (value: value == null) values then
          null
        else if builtins.elem null values then
          fail loc "is defined both null and not null"
        else
          type.merge loc values;
    };

    either = one: other: {
      description = "${one.description} or ${other.description}";
      check = value: one.check value || other.check value;
      merge = loc: values:
        if builtins.all one.check values then
          one.merge loc values
        else if builtins.all other.check values then
          other.merge loc values
        else
          fail loc "is defined in two forms";
    };
    oneOf = alternatives: builtins.foldl' types.either (builtins.head alternatives) (builtins.tail alternatives);

    listOf = type: {
      description = "list of ${type.description}";
      check = builtins.isList;
      merge = loc: values: map (value: mergeDefinitions (loc ++ [ "*" ]) type [ value ]) (builtins.concatLists values);
    };

    attrsOf = type: {
      description = "attribute set of ${type.description}";
      check = builtins.isAttrs;
      merge = loc: values:
        builtins.mapAttrs (name: definitions: mergeDefinitions (loc ++ [ name ]) type definitions) (
          filterAttrs (_: isDefined) (builtins.zipAttrsWith (_: all: all) (builtins.concatMap pushDown values))
        );
    };

    submodule = module: {
      description = "submodule";
      check = value: builtins.isAttrs value || builtins.isFunction value;
      inherit module;
      merge = loc: values:
        (evalModules {
          prefix = loc;
          modules = [ module ] ++ map (value: { config = value; }) values;
        }).config;
    };

    json = types.nullOr (types.oneOf [ types.bool types.int types.float types.str (types.attrsOf types.json) (types.listOf types.json) ]) // {
      description = "JSON value";
    };
  };
in
types
