"""Reads a JSON list of headers' fields, texts as hex of their bytes; writes a JSON list of the headers as tarfile makes them, in hex."""

import json
import os
import sys
import tarfile

TYPES = {"file": tarfile.REGTYPE, "symlink": tarfile.SYMTYPE, "directory": tarfile.DIRTYPE}
TEXTS = {"name": "name", "linkName": "linkname", "uname": "uname", "gname": "gname"}
NUMBERS = ["mode", "uid", "gid", "size", "mtime"]


def header(fields):
    entry = tarfile.TarInfo()
    entry.type = TYPES[fields["type"]]
    for ours, theirs in TEXTS.items():
        setattr(entry, theirs, os.fsdecode(bytes.fromhex(fields[ours])))
    for number in NUMBERS:
        setattr(entry, number, fields[number])
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape").hex()


json.dump([header(fields) for fields in json.load(sys.stdin)], sys.stdout)
