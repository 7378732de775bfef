from pathlib import Path

from muniment.scanning import FoundFile, Scanner, SkippedFile, SkipReason
from muniment_watcher.polling import PolledTree, differences, take_snapshot


class Heard:
    def __init__(self) -> None:
        self.paths: list[str] = []
        self.misses = 0

    def changed(self, path: str, is_dir: bool) -> None:
        assert not is_dir
        self.paths.append(path)

    def missed(self) -> None:
        self.misses += 1


def found(path: str, size: int = 1, mtime_ns: int = 1) -> FoundFile:
    return FoundFile(path, "/" + path, size, mtime_ns)


def test_made_written_and_removed_files_differ():
    before = {"same": (1, 1), "longer": (1, 1), "touched": (1, 1), "gone": (1, 1)}
    after = {"same": (1, 1), "longer": (2, 1), "touched": (1, 2), "made": (1, 1)}
    assert sorted(set(differences(before, after))) == ["gone", "longer", "made", "touched"]


def test_a_path_that_differs_is_named_once():
    assert differences({"a": (1, 1)}, {"a": (2, 2)}) == ["a"]


def test_files_below_an_unreadable_folder_are_not_gone():
    before = {"src/a": (1, 1), "src/sub/b": (1, 1), "srcs": (1, 1)}
    after = take_snapshot([SkippedFile("src", SkipReason.UNREADABLE, folder=True)], before)
    assert differences(before, after) == ["srcs"]


def test_a_root_that_is_away_changes_nothing():
    before = {"a": (1, 1), "src/b": (1, 1)}
    assert take_snapshot([SkippedFile("", SkipReason.VANISHED, folder=True)], before) == before


def test_a_file_that_grew_too_large_differs():
    after = take_snapshot([found("a"), SkippedFile("b", SkipReason.OVERSIZED)], {})
    assert differences({"a": (1, 1), "b": (1, 1)}, after) == ["b"]


def test_a_polled_tree_tells_what_it_finds_changed(tmp_path: Path, until):
    root = tmp_path.resolve()
    (root / "a.py").write_text("a")
    (root / ".git").mkdir()
    heard = Heard()
    tree = PolledTree(str(root), Scanner([str(root)]), heard, interval=0.01)
    tree.refresh()
    try:
        until(lambda: heard.misses)
        assert tree.intact()
        (root / ".git" / "HEAD").write_text("x")
        (root / "b.py").write_text("b")
        until(lambda: str(root / "b.py") in heard.paths)
        (root / "a.py").unlink()
        until(lambda: str(root / "a.py") in heard.paths)
        assert set(heard.paths) == {str(root / "a.py"), str(root / "b.py")}
    finally:
        tree.close()
    assert not tree.intact()


def test_each_of_several_roots_is_polled_by_itself(tmp_path: Path, until):
    roots = [tmp_path.resolve() / name for name in ("one", "two")]
    for root in roots:
        root.mkdir()
    heard = Heard()
    tree = PolledTree(str(roots[1]), Scanner([str(root) for root in roots]), heard, interval=0.01)
    tree.refresh()
    try:
        until(lambda: heard.misses)
        (roots[0] / "a.py").write_text("a")
        (roots[1] / "b.py").write_text("b")
        until(lambda: heard.paths)
        assert set(heard.paths) == {str(roots[1] / "b.py")}
    finally:
        tree.close()
