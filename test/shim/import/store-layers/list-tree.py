"""Lists all that is below a folder, in order: kind, mode, owner, time, size, link target or digest, extended attributes, name."""
import hashlib, os, stat, sys

def content(path, mode):
    if stat.S_ISLNK(mode):
        return repr(os.readlink(path))
    if not stat.S_ISREG(mode):
        return "-"
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()

def attributes(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names]

def walk(folder):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        stats = os.lstat(path)
        size = 0 if stat.S_ISDIR(stats.st_mode) else stats.st_size
        told = [oct(stats.st_mode), stats.st_uid, stats.st_gid, stats.st_mtime_ns, size, content(path, stats.st_mode), attributes(path)]
        print(path[len(top):], *told)
        if stat.S_ISDIR(stats.st_mode):
            walk(path)

top = os.fsencode(sys.argv[1])
walk(top)
