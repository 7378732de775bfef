from pathlib import Path

import pytest

from muniment_watcher.mounts import mounts, parse_mounts, silent_mount

TEXT = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home/ann/remote rw,relatime shared:5 - nfs4 server:/export rw,vers=4.2
31 22 0:41 / /mnt/with\\040space rw - cifs //server/share rw
32 22 0:42 / /work rw - fuse.sshfs ann@host:/ rw
33 32 254:1 / /work/local rw - xfs /dev/vdb rw
34 22 0:43 / /run/containers rw - fuse.fuse-overlayfs fuse-overlayfs rw
35 22 0:44 / /covered rw - nfs server:/ rw
36 22 254:2 / /covered rw - ext4 /dev/vdc rw
a line that is none
"""


@pytest.mark.parametrize(
    ("root", "kind"),
    [
        ("/home/ann/src", None),
        ("/home/ann/remote/src", "nfs4"),
        ("/home/ann/remote", "nfs4"),
        ("/home/ann", "nfs4"),
        ("/home/ann/remote-not", None),
        ("/mnt/with space/project", "cifs"),
        ("/work/project", "fuse.sshfs"),
        ("/work/local/project", None),
        ("/run/containers/x", None),
        ("/covered/x", None),
    ],
)
def test_a_root_on_or_around_a_remote_file_system_is_known(root: str, kind: str | None):
    assert silent_mount(Path(root), parse_mounts(TEXT)) == kind


def test_without_a_list_of_mounts_nothing_is_remote():
    assert silent_mount(Path("/src"), []) is None


def test_this_system_can_be_read():
    assert all(point.is_absolute() for point, _ in mounts())
