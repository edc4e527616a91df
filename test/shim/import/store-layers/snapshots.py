"""
Tells of the committed snapshots of a namespace of containerd, as JSON: by name, what they are on top of, the folder of their own
files, and a digest over the list of these: `snapshots.py ADDRESS NAMESPACE`.
"""
import hashlib, json, os, re, subprocess, sys

LIST_TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "list-tree.py")
address, namespace = sys.argv[1:]

def run(*command):
    return subprocess.run(command, check=True, capture_output=True).stdout

def ctr(*args):
    return run("ctr", "--address", address, "--namespace", namespace, "snapshots", *args).decode()

def folder_of(key):
    """A committed snapshot has no mounts, a view of it has: its own folder is the first one. Nothing holds the view: it may go at any time."""
    view = "look-at-" + key
    mount = ctr("view", "--target", "/target", view, key)
    subprocess.run(["ctr", "--address", address, "--namespace", namespace, "snapshots", "rm", view], capture_output=True)
    return re.search(r"lowerdir=([^:,\s]+)", mount)[1] if "lowerdir=" in mount else mount.split()[3]

def look_at(key, parent):
    folder = folder_of(key)
    # A whiteout, which is a device, has the time at which it was made.
    files = re.sub(rb"( 0o2\d{4} 0 0) \d+ ", rb"\1 ", run("/usr/bin/python3", "-I", LIST_TREE, folder))
    return {"parent": parent, "folder": folder, "files": hashlib.sha256(files).hexdigest()}

rows = [line.split() for line in ctr("ls").splitlines()[1:]]
committed = [(row[0], row[1] if len(row) == 3 else "") for row in rows if row[-1] == "Committed"]
print(json.dumps({key: look_at(key, parent) for key, parent in committed}))
