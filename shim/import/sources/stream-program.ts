/** How a version of nixpkgs' stream_layered_image.py makes its layers. */
export interface StreamProgram {
  /** Permissions of /nix and /nix/store. */
  readonly rootMode: number
  /** Whether the owner of the files is in the conf; else that is root. */
  readonly hasOwner: boolean
  /** Whether the files' time has a field of its own in the conf; else that is `created`. */
  readonly hasMtime: boolean
}

/** Recognises a program of which all that decides about the image's bytes is known; undefined for any other. */
export function recogniseStreamProgram(source: string): StreamProgram | undefined {
  const code = squeeze(source)
  const mode = /defnix_root\(ti\):ti\.mode=0o0?(555|755)return/.exec(code)?.[1]
  const hasOwner = choose(code, OWNER_IN_CONF, OWNER_IS_ROOT)
  const hasMtime = choose(code, MTIME_IN_CONF, MTIME_IS_CREATED)
  if (mode === undefined || hasOwner === undefined || hasMtime === undefined) return undefined
  if (!COMMON.every(part => code.includes(part))) return undefined
  return { rootMode: Number.parseInt(mode, 8), hasOwner, hasMtime }
}

const OWNER_IN_CONF = 'uid=int(conf["uid"])'
const OWNER_IS_ROOT = 'ti.uid=0'
const MTIME_IN_CONF = 'mtime=int(parse_time(conf["mtime"]).timestamp())'
const MTIME_IS_CREATED = 'mtime=int(created.timestamp())'

/** What every version has in common since it reads base images: the order of the entries, and the form of the config. */
const COMMON = [
  'tar.addfile(apply_filters(nix_root(dir("/nix"))))tar.addfile(apply_filters(nix_root(dir("/nix/store"))))',
  'ifpath.is_symlink():',
  'insorted(files):',
  'ifti.islnk():ti.type=tarfile.REGTYPE',
  'load_from_image(conf["from_image"])',
  '"os":"linux","config":overlay_base_config(from_image,conf["config"])',
  '"comment":f"storepaths:{layer.paths}"',
  'json.dumps(image_json,indent=4)',
]

/** Formatters of nixpkgs have moved spaces and line ends about. */
function squeeze(source: string): string {
  return source.replace(/#.*$/gm, '').replace(/\s+/g, '')
}

/** Whether the one is there, and not the other. */
function choose(code: string, yes: string, no: string): boolean | undefined {
  const [isYes, isNo] = [code.includes(yes), code.includes(no)]
  return isYes === isNo ? undefined : isYes
}
