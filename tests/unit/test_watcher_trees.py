"""Real file events in temporary folders."""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from muniment.scanning import Scanner
from muniment_watcher.observer import ObservedTree, Observer
from muniment_watcher.polling import PolledTree
from muniment_watcher.recent import changed_since
from muniment_watcher.tree import Tree

pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")  # a second watch on one folder
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify")


class Heard:
    """A sink. Paths are kept relative to the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.changes: list[tuple[str, bool]] = []
        self.misses = 0

    def changed(self, path: str, is_dir: bool) -> None:
        self.changes.append((Path(path).relative_to(self.root).as_posix(), is_dir))

    def missed(self) -> None:
        self.misses += 1

    @property
    def paths(self) -> set[str]:
        return {path for path, _ in self.changes}

    def forget(self) -> None:
        self.changes.clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    for folder in ("src/deep", ".git/objects", "node_modules/left", "out"):
        (root / folder).mkdir(parents=True)
    (root / ".gitignore").write_text("out/\n")
    (root / "src" / "a.py").write_text("a")
    return root


@pytest.fixture
def observer() -> Iterator[Observer]:
    observer = Observer()
    yield observer
    observer.close()


@pytest.fixture
def heard(root: Path) -> Heard:
    return Heard(root)


@pytest.fixture
def tree(root: Path, observer: Observer, heard: Heard) -> Iterator[Tree]:
    tree = observer.watch(str(root), Scanner([str(root)]), heard)
    yield tree
    tree.close()


@pytest.fixture
def settled(root: Path, heard: Heard, until: Callable[..., object]) -> Callable[[], None]:
    """Waits until all that was done before has been heard."""

    numbers = count()

    def wait() -> None:
        marker = f"marker-{next(numbers)}"
        (root / marker).write_text("")
        until(lambda: marker in heard.paths)

    return wait


@pytest.mark.usefixtures("tree")
def test_a_written_file_is_heard_of(root: Path, heard: Heard, until):
    (root / "src" / "a.py").write_text("b")
    until(lambda: ("src/a.py", False) in heard.changes)


@pytest.mark.usefixtures("tree")
def test_new_and_removed_files_are_heard_of(root: Path, heard: Heard, until):
    (root / "src" / "deep" / "new.py").write_text("b")
    (root / "src" / "a.py").unlink()
    until(lambda: {"src/a.py", "src/deep/new.py"} <= heard.paths)


@pytest.mark.usefixtures("tree")
def test_a_rename_tells_the_old_and_the_new_path(root: Path, heard: Heard, until):
    (root / "src" / "a.py").rename(root / "src" / "deep" / "b.py")
    until(lambda: {"src/a.py", "src/deep/b.py"} <= heard.paths)


@pytest.mark.usefixtures("tree")
def test_a_file_moved_out_is_heard_of(root: Path, heard: Heard, tmp_path: Path, until):
    (root / "src" / "a.py").rename(tmp_path / "elsewhere.py")
    until(lambda: "src/a.py" in heard.paths)


@pytest.mark.usefixtures("tree")
def test_a_new_folder_is_told_as_a_whole_and_watched_from_then_on(root: Path, heard: Heard, until, settled):
    made = root / "lib" / "one" / "two"
    made.mkdir(parents=True)
    until(lambda: ("lib", True) in heard.changes)
    settled()
    heard.forget()
    (made / "late.py").write_text("x")
    until(lambda: "lib/one/two/late.py" in heard.paths)


@pytest.mark.usefixtures("tree")
def test_no_file_of_a_tree_that_is_being_unpacked_is_lost(root: Path, heard: Heard, settled):
    for number in range(60):
        folder = root / "unpacked" / f"{number % 7}" / f"{number}"
        folder.mkdir(parents=True)
        (folder / "file.py").write_text("x")
    settled()
    told = {path for path, _ in heard.changes}
    whole = {path for path, is_dir in heard.changes if is_dir}
    for number in range(60):
        path = Path("unpacked") / f"{number % 7}" / f"{number}" / "file.py"
        assert path.as_posix() in told or any(parent.as_posix() in whole for parent in path.parents)


@pytest.mark.usefixtures("tree")
def test_a_folder_moved_in_is_told_and_watched(root: Path, heard: Heard, tmp_path: Path, until):
    (tmp_path / "outside" / "sub").mkdir(parents=True)
    (tmp_path / "outside").rename(root / "inside")
    until(lambda: ("inside", True) in heard.changes)
    (root / "inside" / "sub" / "late.py").write_text("x")
    until(lambda: "inside/sub/late.py" in heard.paths)


@pytest.mark.usefixtures("tree")
def test_a_renamed_folder_is_told_under_both_names_and_watched_under_the_new(root: Path, heard: Heard, until):
    (root / "src").rename(root / "source")
    until(lambda: {("src", True), ("source", True)} <= set(heard.changes))
    heard.forget()
    (root / "source" / "deep" / "late.py").write_text("x")
    until(lambda: "source/deep/late.py" in heard.paths)
    assert not any(path.startswith("src") for path in heard.paths)


@linux_only
@pytest.mark.usefixtures("tree")
def test_a_folder_moved_out_is_told_and_left_alone(root: Path, heard: Heard, tmp_path: Path, until, settled):
    (root / "src").rename(tmp_path / "gone")
    until(lambda: ("src", True) in heard.changes)
    heard.forget()
    (tmp_path / "gone" / "deep" / "late.py").write_text("x")
    settled()
    assert all(path.startswith("marker") for path in heard.paths)


@pytest.mark.usefixtures("tree")
def test_a_removed_folder_is_told(root: Path, heard: Heard, until):
    shutil.rmtree(root / "src")
    until(lambda: ("src", True) in heard.changes)


@linux_only
def test_ignored_folders_are_not_watched(root: Path, tree: Tree, heard: Heard, settled):
    assert len(tree) == 3  # type: ignore[arg-type]  # the root, src, src/deep
    (root / ".git" / "objects" / "x").write_text("x")
    (root / "node_modules" / "left" / "x").write_text("x")
    (root / "out" / "x").write_text("x")
    (root / "src" / "__pycache__").mkdir()
    (root / "src" / "__pycache__" / "x").write_text("x")
    settled()
    assert all(path.startswith("marker") for path in heard.paths)


@linux_only
def test_a_refresh_follows_the_ignore_rules(root: Path, tree: Tree, heard: Heard, until, settled):
    (root / ".gitignore").write_text("src/deep/\n")
    until(lambda: ".gitignore" in heard.paths)
    tree.refresh()
    heard.forget()
    (root / "src" / "deep" / "x").write_text("x")
    (root / "out" / "x").write_text("x")
    settled()
    assert "out/x" in heard.paths
    assert "src/deep/x" not in heard.paths


def test_links_are_not_followed(root: Path, tmp_path: Path, observer: Observer, heard: Heard, settled):
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)
    tree = observer.watch(str(root), Scanner([str(root)]), heard)
    try:
        (root / "later").symlink_to(outside)
        (outside / "secret.py").write_text("x")
        settled()
        assert {"later"} <= heard.paths
        assert not any("secret" in path for path in heard.paths)
    finally:
        tree.close()


@pytest.mark.usefixtures("tree")
def test_two_projects_over_one_folder_hear_the_same(root: Path, observer: Observer, heard: Heard, until):
    other = Heard(root)
    second = observer.watch(str(root), Scanner([str(root)]), other)
    (root / "src" / "a.py").write_text("b")
    until(lambda: "src/a.py" in heard.paths and "src/a.py" in other.paths)
    second.close()
    heard.forget()
    (root / "src" / "a.py").write_text("c")
    until(lambda: "src/a.py" in heard.paths)


@linux_only
@pytest.mark.usefixtures("tree")
def test_lost_events_are_reported_by_every_tree(root: Path, observer: Observer, heard: Heard):
    from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, WatchDescriptor

    other = Heard(root)
    second = observer.watch(str(root / "src"), Scanner([str(root / "src")]), other)
    overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    observer._fd.handle_event(overflow)  # type: ignore[union-attr]
    assert (heard.misses, other.misses) == (1, 1)
    second.close()


@linux_only
def test_a_refresh_after_lost_events_finds_the_folders_that_came_and_went(root: Path, tree: Tree, heard: Heard, until):
    from muniment_watcher.inotify import InotifyTree

    assert isinstance(tree, InotifyTree)
    tree._follow = lambda _path, _mask: None  # type: ignore[method-assign]  # as if nothing had been told
    (root / "src" / "deep").rename(root / "deeper")
    (root / "src" / "deep").mkdir()
    (root / "src" / "fresh").mkdir()
    del tree._follow
    tree.refresh()
    assert len(tree) == 5
    heard.forget()
    for folder in ("deeper", "src/deep", "src/fresh"):
        (root / folder / "x.py").write_text("x")
    # an event from before the refresh may come late; then the folder itself is told, which covers the file
    until(lambda: all(heard.paths & {f"{folder}/x.py", folder} for folder in ("deeper", "src/deep", "src/fresh")))


def test_a_root_that_is_away_is_an_error(root: Path, observer: Observer, heard: Heard):
    with pytest.raises(OSError, match="nowhere"):
        observer.watch(str(root / "nowhere"), Scanner([str(root / "nowhere")]), heard)


def test_a_root_that_goes_away_is_noticed_and_can_come_back(root: Path, tree: Tree, heard: Heard, until):
    assert tree.intact()
    shutil.rmtree(root)
    until(lambda: heard.misses)
    assert not tree.intact()
    with pytest.raises(OSError):
        tree.refresh()
    (root / "src").mkdir(parents=True)
    tree.refresh()
    assert tree.intact()
    heard.forget()
    (root / "src" / "x.py").write_text("x")
    until(lambda: "src/x.py" in heard.paths)


def test_a_root_below_a_renamed_folder_is_not_intact(root: Path, tree: Tree):
    root.parent.joinpath("other").mkdir()
    root.rename(root.parent / "other" / "project")
    assert not tree.intact()
    root.mkdir()
    assert not tree.intact()


@linux_only
def test_without_enough_watches_a_tree_is_polled(
    root: Path, observer: Observer, heard: Heard, monkeypatch, caplog, until
):
    from watchdog.observers.inotify_c import InotifyFD

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    with monkeypatch.context() as patched:
        patched.setattr(InotifyFD, "add_callback", refuse)
        tree = observer.watch(str(root), Scanner([str(root)]), heard)
    assert isinstance(tree, PolledTree)
    assert "watch limit" in caplog.text
    until(lambda: heard.misses)  # the first look was taken
    tree.close()


@linux_only
@pytest.mark.usefixtures("tree")
def test_when_a_new_folder_gets_no_watch_it_is_reported(root: Path, heard: Heard, monkeypatch, until):
    from watchdog.observers.inotify_c import InotifyFD

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(InotifyFD, "add_callback", refuse)
    (root / "lib").mkdir()
    until(lambda: heard.misses)
    until(lambda: ("lib", True) in heard.changes)


@linux_only
def test_a_folder_that_may_not_be_read_hides_only_itself(
    root: Path, observer: Observer, heard: Heard, monkeypatch, until
):
    from watchdog.observers.inotify_c import InotifyFD

    real = InotifyFD._get_or_create_watch

    def refused(self: InotifyFD, path: bytes, mask: int) -> object:
        if path.endswith(b"deep"):  # what watchdog makes of EACCES
            from watchdog.observers.inotify_c import Watch, WatchDescriptor

            return self._watch_for_wd.setdefault(WatchDescriptor(-1), Watch(WatchDescriptor(-1), mask, path))
        return real(self, path, mask)

    (root / "lib" / "deep").mkdir(parents=True)
    monkeypatch.setattr(InotifyFD, "_get_or_create_watch", refused)
    tree = observer.watch(str(root), Scanner([str(root)]), heard)
    try:
        (root / "src" / "a.py").write_text("b")
        until(lambda: "src/a.py" in heard.paths)
        assert len(tree) == 3  # type: ignore[arg-type]
    finally:
        tree.close()


def test_polling_can_be_asked_for(root: Path, heard: Heard, until):
    observer = Observer(poll_seconds=0.01)
    tree = observer.watch(str(root), Scanner([str(root)]), heard)
    until(lambda: heard.misses)
    (root / "src" / "a.py").write_text("longer")
    until(lambda: "src/a.py" in heard.paths)
    tree.close()
    assert observer.alive()
    observer.close()


def test_a_dead_reader_is_noticed(observer: Observer, tree: Tree):
    assert observer.alive()
    tree.close()
    if observer._fd is not None:
        observer._fd.stop()
        observer._fd.join(5)
        assert not observer.alive()


def test_the_observer_of_other_systems_tells_the_same(root: Path, heard: Heard, until):
    tree = ObservedTree(str(root), heard)
    assert not tree.intact()
    tree.refresh()
    try:
        assert tree.intact()
        (root / "src" / "a.py").rename(root / "src" / "b.py")
        (root / "lib").mkdir()
        until(lambda: {"src/a.py", "src/b.py", "lib"} <= heard.paths)
        (root / "lib" / "x.py").write_text("x")
        until(lambda: "lib/x.py" in heard.paths)
        shutil.rmtree(root)
        until(lambda: heard.misses)
        assert not tree.intact()
        with pytest.raises(OSError):
            tree.refresh()
    finally:
        tree.close()


def test_what_changed_before_the_watches_stood_is_found_by_its_time(root: Path):
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1_000, 1_000))
    os.utime(root / "src" / "a.py", (2_000, 2_000))
    os.utime(root / "src" / "deep", (2_001, 2_001))
    os.utime(root / "node_modules" / "left", (2_001, 2_001))
    scanner = Scanner([str(root)])
    found = set(changed_since(str(root), lambda path: scanner.ignored(path, True), 2_000.0))
    assert found == {(str(root / "src" / "a.py"), False), (str(root / "src" / "deep"), True)}
    assert not list(changed_since(str(root / "nowhere"), lambda _path: False, 0.0))
