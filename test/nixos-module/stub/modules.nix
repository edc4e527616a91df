# Evaluates modules with their options and definitions.
lib:
let
  isA = type: value: builtins.isAttrs value && value._type or "" == type;

  # Moves the properties of a set to its members, so that names are known before conditions.
  pushDown = definition:
    if isA "merge" definition then
      builtins.concatMap pushDown definition.contents
    else if isA "if" definition then
      map (builtins.mapAttrs (_: content: { _type = "if"; inherit (definition) condition; inherit content; })) (pushDown definition.content)
    else if isA "override" definition then
      map (builtins.mapAttrs (_: content: { _type = "override"; inherit (definition) priority; inherit content; })) (pushDown definition.content)
    else
      [ definition ];

  # The values whose conditions hold, each with its priority.
  discharge = definition:
    if isA "merge" definition then
      builtins.concatMap discharge definition.contents
    else if isA "if" definition then
      (if definition.condition then discharge definition.content else [ ])
    else if isA "override" definition then
      map (inner: inner // { inherit (definition) priority; }) (discharge definition.content)
    else
      [ { priority = 100; value = definition; } ];

  strongest = definitions:
    let
      all = builtins.concatMap discharge definitions;
      least = builtins.foldl' (best: { priority, ... }: if priority < best then priority else best) 10000 all;
    in
    map ({ value, ... }: value) (builtins.filter ({ priority, ... }: priority == least) all);

  nameOf = builtins.concatStringsSep ".";

  mergeDefinitions = loc: type: definitions:
    let
      values = strongest definitions;
      wrong = builtins.filter (value: !type.check value) values;
    in
    if values == [ ] then
      throw "The option `${nameOf loc}' is used but not defined"
    else if wrong != [ ] then
      throw "A definition for option `${nameOf loc}' is not of type `${type.description}'"
    else
      type.merge loc values;

  evalOption = loc: option: definitions:
    let
      given = strongest definitions;
      all = definitions ++ (if option ? default then [ { _type = "override"; priority = 1500; content = option.default; } ] else [ ]);
    in
    option // {
      inherit loc;
      definitions = given;
      value = mergeDefinitions loc option.type all;
    };

  mergeOptions = sets:
    builtins.zipAttrsWith (
      name: found:
      if !builtins.any (isA "option") found then
        mergeOptions found
      else if builtins.length found == 1 then
        builtins.head found
      else
        throw "The option `${name}' is declared twice"
    ) sets;

  unfold = args: module:
    let
      loaded = if builtins.isPath module then import module else module;
      set = if builtins.isFunction loaded then loaded args else loaded;
    in
    [ set ] ++ builtins.concatMap (unfold args) (set.imports or [ ]);

  configOf = module:
    if module ? config || module ? options then
      module.config or { }
    else
      removeAttrs module [ "imports" "freeformType" ];

  # The tree of options with their values, and the tree of values.
  evalTree = loc: freeform: options: definitions:
    let
      pushed = builtins.concatMap pushDown definitions;
      byName = builtins.zipAttrsWith (_: all: all) pushed;
      evaluated = builtins.mapAttrs (
        name: option:
        let
          here = byName.${name} or [ ];
          loc' = loc ++ [ name ];
        in
        if isA "option" option then
          { option = evalOption loc' option here; }
        else
          evalTree loc' null option here
      ) options;
      others = removeAttrs byName (builtins.attrNames options);
      unknown = builtins.attrNames others;
      free =
        if freeform != null then
          freeform.merge loc (map (definition: removeAttrs definition (builtins.attrNames options)) pushed)
        else if unknown != [ ] then
          throw "The option `${nameOf (loc ++ [ (builtins.head unknown) ])}' does not exist"
        else
          { };
    in
    {
      options = builtins.mapAttrs (_: node: node.option or node.options) evaluated;
      config = builtins.seq free (free // builtins.mapAttrs (_: node: if node ? option then node.option.value else node.config) evaluated);
    };

  evalModules = { modules, specialArgs ? { }, prefix ? [ ] }:
    let
      args = specialArgs // { inherit lib; inherit (tree) config options; };
      all = builtins.concatMap (unfold args) modules;
      freeforms = builtins.filter (type: type != null) (map (module: module.freeformType or null) all);
      freeform = if freeforms == [ ] then null else builtins.head freeforms;
      tree = evalTree prefix freeform (mergeOptions (map (module: module.options or { }) all)) (map configOf all);
    in
    tree;
in
{
  inherit evalModules mergeDefinitions pushDown;
  isDefined = definitions: builtins.concatMap discharge definitions != [ ];
}
