"""Which folders lie on file systems whose changes the kernel does not tell: others write there, or a host outside."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SILENT = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "drvfs", "fakeowner", "gfs2", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf",
        "virtiofs", "vmhgfs",
    }
)  # fmt: skip
FUSE = "fuse."  # sshfs, s3fs, Docker Desktop's: most of them show what is written elsewhere
LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.squashfuse", "fuse.snapfuse", "fuse.portal", "fuse.gocryptfs"})

_OCTAL = re.compile(r"\\([0-7]{3})")


def parse_mounts(text: str) -> list[tuple[Path, str]]:
    """Mount points and their file system types, in the order of mounting, from the text of ``mountinfo``."""
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ", 1)[0]
        if len(fields) > 4 and kind:
            point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
            mounts.append((Path(point), kind))
    return mounts


def silent_mount(root: Path, mounts: list[tuple[Path, str]]) -> str | None:
    """The type of such a file system that ``root`` lies on or holds, else None."""
    holding = [(point, kind) for point, kind in mounts if root.is_relative_to(point)]
    inside = [(point, kind) for point, kind in mounts if point != root and point.is_relative_to(root)]
    # of two mounts on one point the later covers the earlier
    on = max(enumerate(holding), key=lambda entry: (len(entry[1][0].parts), entry[0]), default=None)
    kinds = ([on[1][1]] if on else []) + [kind for _, kind in inside]
    return next((kind for kind in kinds if _silent(kind)), None)


def mounts() -> list[tuple[Path, str]]:
    """Those of this process; empty where the system has no such list."""
    try:
        return parse_mounts(MOUNTS.read_text(errors="surrogateescape"))
    except OSError:
        return []


def _silent(kind: str) -> bool:
    return kind in SILENT or (kind.startswith(FUSE) and kind not in LOCAL_FUSE)
