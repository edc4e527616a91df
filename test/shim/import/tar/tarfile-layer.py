"""Writes the docker-archive of a conf.json as nixpkgs' streamLayeredImage does: what enbi-shim's own tars are held against.

    tarfile-layer.py [--older] [--digests] CONF

--older: as it was done before owner and mtime came into the conf, late in 2024.
--digests: in place of the archive, a JSON list with digest and size of each store layer's tar.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile
import threading
from datetime import datetime, timezone

NOW = datetime.now(timezone.utc)
ROOT = {"uid": 0, "gid": 0, "uname": "root", "gname": "root"}


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--older", action="store_true")
    parser.add_argument("--digests", action="store_true")
    parser.add_argument("conf")
    return parser.parse_args()


class Digest:
    """A file that is only hashed."""

    def __init__(self):
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)


class StoreLayer:
    def __init__(self, paths, owner, mtime, root_mode):
        self.paths = paths
        self.common = {**owner, "mtime": mtime}
        self.root_mode = root_mode

    def write_tar(self, out):
        with tarfile.open(fileobj=out, mode="w|") as tar:
            for name in ["/nix", "/nix/store"]:
                root = tarfile.TarInfo(name)
                root.type, root.mode = tarfile.DIRTYPE, self.root_mode
                tar.addfile(self.owned(root))
            for path in map(pathlib.Path, self.paths):
                below = [] if path.is_symlink() else path.rglob("*")
                for file in sorted([path, *below]):
                    self.add(tar, file)

    def add(self, tar, file):
        entry = self.owned(tar.gettarinfo(file))
        entry.name = f"/{entry.name}"
        if entry.islnk():
            entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", file.lstat().st_size
        if not entry.isfile():
            return tar.addfile(entry)
        with file.open("rb") as content:
            tar.addfile(entry, content)

    def owned(self, entry):
        for field, value in self.common.items():
            setattr(entry, field, value)
        return entry

    def digest(self):
        out = Digest()
        self.write_tar(out)
        return out.hash.hexdigest(), out.size

    def stream(self):
        """The tar once more, as a file to read from."""
        ours, theirs = os.pipe()

        def fill():
            with open(theirs, "wb") as pipe:
                self.write_tar(pipe)

        threading.Thread(target=fill).start()
        return open(ours, "rb")


class Archive:
    def __init__(self, out, mtime):
        self.tar = tarfile.open(fileobj=out, mode="w|")
        self.mtime = mtime
        self.layers = []

    def add(self, name, size, content):
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = size, self.mtime
        self.tar.addfile(entry, content)

    def add_json(self, name, value):
        text = json.dumps(value, indent=4).encode()
        name = name or f"{hashlib.sha256(text).hexdigest()}.json"
        self.add(name, len(text), io.BytesIO(text))
        return name

    def add_base(self, base):
        """The layers of another archive, as they are. Returns its config."""
        with tarfile.open(base) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))[0]
            config = json.load(tar.extractfile(manifest["Config"]))
            for name, diff_id in zip(manifest["Layers"], config["rootfs"]["diff_ids"]):
                entry = tar.getmember(name)
                self.tar.addfile(entry, tar.extractfile(entry))
                self.layers.append((diff_id.removeprefix("sha256:"), entry.path, [entry.path]))
        return config

    def add_store_layer(self, layer):
        hex, size = layer.digest()
        with layer.stream() as content:
            self.add(f"{hex}/layer.tar", size, content)
        self.layers.append((hex, f"{hex}/layer.tar", layer.paths))

    def add_customisation_layer(self, folder):
        hex = pathlib.Path(folder, "checksum").read_text().strip()
        layer = os.path.join(folder, "layer.tar")
        entry = self.tar.gettarinfo(layer, f"{hex}/layer.tar")
        entry.mtime = self.mtime
        with open(layer, "rb") as content:
            self.tar.addfile(entry, content)
        self.layers.append((hex, entry.name, [folder]))

    def finish(self, conf, created, config, repo_tag):
        image = {
            "created": created,
            "architecture": conf["architecture"],
            "os": "linux",
            "config": config,
            "rootfs": {"diff_ids": [f"sha256:{hex}" for hex, _, _ in self.layers], "type": "layers"},
            "history": [{"created": created, "comment": f"store paths: {paths}"} for _, _, paths in self.layers],
        }
        name = self.add_json(None, image)
        manifest = {"Config": name, "RepoTags": [repo_tag], "Layers": [name for _, name, _ in self.layers]}
        self.add_json("manifest.json", [manifest])
        self.tar.close()


def over_base(config, base):
    """Of the base's config, only the environment stays."""
    env = {entry.split("=", 1)[0]: entry for entry in (base["config"].get("Env", []) + config.get("Env", []))}
    return {**config, "Env": list(env.values())} if env else config


def parse_time(text):
    return NOW if text == "now" else datetime.fromisoformat(text)


def store_layers(conf, older):
    owner = ROOT if older else {**{k: conf[k] for k in ROOT}, "uid": int(conf["uid"]), "gid": int(conf["gid"])}
    mtime = int(parse_time(conf["created" if older else "mtime"]).timestamp())
    return [StoreLayer(paths, owner, mtime, 0o555 if older else 0o755) for paths in conf["store_layers"]], mtime


def main():
    arguments = read_arguments()
    with open(arguments.conf) as file:
        conf = json.load(file)
    layers, mtime = store_layers(conf, arguments.older)
    if arguments.digests:
        digests = [layer.digest() for layer in layers]
        return json.dump([{"diffId": f"sha256:{hex}", "size": size} for hex, size in digests], sys.stdout)
    archive = Archive(sys.stdout.buffer, mtime)
    base = archive.add_base(conf["from_image"]) if conf["from_image"] else None
    for layer in layers:
        archive.add_store_layer(layer)
    archive.add_customisation_layer(conf["customisation_layer"])
    config = over_base(conf["config"], base) if base else conf["config"]
    created = parse_time(conf["created"]).isoformat()
    archive.finish(conf, created, config, conf["repo_tag"])


main()
