"""The walk: what it lists, what it leaves out and why, and what it never does."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment.scanning import DEFAULT_EXCLUDES, FAILURES, REASONS, FoundFile, Scanner, SkippedFile, SkipReason


def put(root: Path, *names: str, text: str = "x\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def paths(items: Iterator[FoundFile | SkippedFile]) -> list[str]:
    return [item.path for item in items if isinstance(item, FoundFile)]


def skips(items: Iterator[FoundFile | SkippedFile]) -> set[tuple[str, SkipReason, bool]]:
    return {(item.path, item.reason, item.folder) for item in items if isinstance(item, SkippedFile)}


def test_a_found_file_carries_its_path_size_and_time(tmp_path: Path) -> None:
    put(tmp_path, "a/b.txt", text="12345")
    status = (tmp_path / "a/b.txt").stat()

    [found] = Scanner([str(tmp_path)]).walk()

    assert found == FoundFile("a/b.txt", str(tmp_path / "a/b.txt"), 5, status.st_mtime_ns)


def test_paths_of_several_roots_begin_with_their_labels(tmp_path: Path) -> None:
    put(tmp_path, "one/src/a.py", "two/src/a.py")
    scanner = Scanner([str(tmp_path / "one/src"), str(tmp_path / "two/src")])

    assert paths(scanner.walk()) == ["src/a.py", "src-2/a.py"]
    assert paths(scanner.look("src-2/a.py")) == ["src-2/a.py"]
    assert paths(scanner.look("src")) == ["src/a.py"]
    assert paths(scanner.look("")) == ["src/a.py", "src-2/a.py"]
    assert paths(scanner.look("other/a.py")) == []


def test_default_excludes_are_hidden_and_vendor_is_kept(tmp_path: Path) -> None:
    put(
        tmp_path,
        "node_modules/a.js",
        "x/dist/a.js",
        "venv/a.py",
        "b.egg-info/PKG",
        ".git/config",
        "vendor/a.go",
        "a.go",
    )
    scanner = Scanner([str(tmp_path)])

    assert paths(scanner.walk()) == ["a.go", "vendor/a.go"]
    assert scanner.ignored_entries == 4


def test_every_default_exclude_hides(tmp_path: Path) -> None:
    for glob in [glob for globs in DEFAULT_EXCLUDES.values() for glob in globs]:
        name = glob.replace("*", "some")
        put(tmp_path, f"{name}in" if name.endswith("/") else name)

    assert paths(Scanner([str(tmp_path)]).walk()) == []


def test_munimentignore_overrules_gitignore_and_the_defaults(tmp_path: Path) -> None:
    put(tmp_path, "dist/a.js", "a.log", "sub/b.log", "c.txt", ".git/config")
    (tmp_path / ".gitignore").write_text("*.log\ndist\n")
    (tmp_path / ".munimentignore").write_text("!dist/\n!*.log\nc.txt\n!.git/\n")
    put(tmp_path, "sub/.munimentignore", text="b.log\n")

    kept = paths(Scanner([str(tmp_path)]).walk())

    assert kept == [".gitignore", ".munimentignore", "a.log", "dist/a.js", "sub/.munimentignore"]


def test_a_gitignore_that_takes_everything_back_does_not_bring_back_the_defaults(tmp_path: Path) -> None:
    put(tmp_path, "src/a.py", "src/b.txt", "node_modules/a.py")
    (tmp_path / ".gitignore").write_text("*\n!*/\n!*.py\n")

    assert paths(Scanner([str(tmp_path)]).walk()) == ["src/a.py"]


def test_project_excludes_come_first_and_may_take_back_a_default(tmp_path: Path) -> None:
    put(tmp_path, "build/a.py", "gen/a.py", "gen/b.py")
    put(tmp_path, ".munimentignore", text="!gen/\n")
    scanner = Scanner([str(tmp_path)], excludes=["gen/", ".munimentignore", "!build/"])

    assert paths(scanner.walk()) == ["build/a.py"]


def test_only_files_that_match_a_pattern_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "a.py", "sub/b.py", "docs/x/c.md", "docs/d.txt", "lib/e.c", "lib/deep/f.c", "lib/deep/f_test.c")
    scanner = Scanner([str(tmp_path)], patterns=["*.py", "docs/**/*.md", "lib/", "!*_test.c"])

    assert paths(scanner.walk()) == ["a.py", "docs/x/c.md", "lib/e.c", "lib/deep/f.c", "sub/b.py"]
    assert scanner.unmatched_files == 2
    assert paths(scanner.look("lib/deep/f.c")) == ["lib/deep/f.c"]
    assert paths(scanner.look("docs/d.txt")) == []
    assert scanner.ignored(tmp_path / "docs/d.txt", is_dir=False)
    assert not scanner.ignored(tmp_path / "docs", is_dir=True)


def test_each_walk_counts_anew(tmp_path: Path) -> None:
    put(tmp_path, "dist/a", "b")
    scanner = Scanner([str(tmp_path)])
    for _ in range(2):
        assert paths(scanner.walk()) == ["b"]
        assert scanner.ignored_entries == 1


def test_links_are_never_followed(tmp_path: Path) -> None:
    put(tmp_path, "tree/a/file", "outside/secret")
    (tmp_path / "tree/a/loop").symlink_to("..")
    (tmp_path / "tree/away").symlink_to("../outside")
    (tmp_path / "tree/link").symlink_to("a/file")
    scanner = Scanner([str(tmp_path / "tree")])

    items = list(scanner.walk())

    assert paths(iter(items)) == ["a/file"]
    assert skips(iter(items)) == {(p, SkipReason.SYMLINK, False) for p in ("a/loop", "away", "link")}
    assert skips(scanner.look("away")) == {("away", SkipReason.SYMLINK, False)}
    assert skips(scanner.look("away/secret")) == {("away/secret", SkipReason.SYMLINK, False)}


def test_a_root_that_became_a_link_is_not_entered(tmp_path: Path) -> None:
    put(tmp_path, "outside/secret")
    (tmp_path / "root").symlink_to("outside")
    scanner = Scanner([str(tmp_path / "root")])

    assert list(scanner.walk()) == [SkippedFile("", SkipReason.SYMLINK, folder=True)]
    assert list(scanner.look("secret")) == [SkippedFile("secret", SkipReason.SYMLINK)]


def test_a_root_that_is_away_does_not_look_empty(tmp_path: Path) -> None:
    scanner = Scanner([str(tmp_path / "gone")])

    assert list(scanner.walk()) == [SkippedFile("", SkipReason.VANISHED, folder=True)]
    assert list(scanner.look("a.py")) == [SkippedFile("", SkipReason.VANISHED, folder=True)]


def test_pipes_and_sockets_are_special(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        found = skips(Scanner([str(tmp_path)]).walk())

    assert found == {("pipe", SkipReason.SPECIAL, False), ("socket", SkipReason.SPECIAL, False)}


def test_a_huge_file_is_skipped_by_its_size(tmp_path: Path) -> None:
    put(tmp_path, "small", text="x" * 100)
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(300_000_000)
    scanner = Scanner([str(tmp_path)], max_file_bytes=100)

    assert skips(scanner.walk()) == {("huge", SkipReason.OVERSIZED, False)}
    assert paths(scanner.walk()) == ["small"]


def test_a_name_that_is_not_utf8_is_counted_and_shown(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).touch()
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/dir\xff")).mkdir()
    except OSError:
        pytest.skip("this file system holds only UTF-8 names")
    (tmp_path / "ok-é.txt").touch()

    items = list(Scanner([str(tmp_path)]).walk())

    assert paths(iter(items)) == ["ok-é.txt"]
    assert skips(iter(items)) == {
        ("caf\ufffd.txt", SkipReason.BAD_NAME, False),
        ("dir\ufffd", SkipReason.BAD_NAME, True),
    }


@pytest.mark.parametrize(
    ("error", "reason"), [(PermissionError, SkipReason.UNREADABLE), (FileNotFoundError, SkipReason.VANISHED)]
)
def test_a_folder_that_cannot_be_listed_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError], reason: SkipReason
) -> None:
    put(tmp_path, "a/x", "bad/y", "c/z")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.rstrip("/").endswith("/bad"):
            raise error(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    items = list(Scanner([str(tmp_path)]).walk())

    assert paths(iter(items)) == ["a/x", "c/z"]
    assert skips(iter(items)) == {("bad", reason, True)}


def test_a_file_that_vanishes_between_listing_and_stat_is_counted(tmp_path: Path) -> None:
    put(tmp_path, "a", "b")
    walk = Scanner([str(tmp_path)]).walk()

    first = next(walk)
    (tmp_path / "b").unlink()

    assert first.path == "a"
    assert list(walk) == [SkippedFile("b", SkipReason.VANISHED)]


def test_a_look_takes_one_file_or_one_folder(tmp_path: Path) -> None:
    put(tmp_path, "a/b/c.py", "a/d.py", "a/dist/e.py", "f.py")
    scanner = Scanner([str(tmp_path)])

    assert paths(scanner.look("a/b/c.py")) == ["a/b/c.py"]
    assert paths(scanner.look("a")) == ["a/d.py", "a/b/c.py"]
    assert paths(scanner.look("a", recursive=False)) == ["a/d.py"]
    assert paths(scanner.look("", recursive=False)) == ["f.py"]
    assert list(scanner.look("a/dist/e.py")) == []
    assert list(scanner.look("a/missing.py")) == []
    assert list(scanner.look("f.py/below")) == []


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", "a//b", "./a", "a/\0", "\ud800", ".git/x"]
)
def test_a_look_never_leaves_the_root(tmp_path: Path, path: str) -> None:
    put(tmp_path, "secret", "root/a/b", "root/.git/x")

    assert list(Scanner([str(tmp_path / "root")]).look(path)) == []


def test_a_look_that_the_system_refuses_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a")
    kept = os.lstat

    def refused(path: str) -> os.stat_result:
        if str(path).endswith("/a"):
            raise PermissionError(path)
        return kept(path)

    monkeypatch.setattr(os, "lstat", refused)
    assert list(Scanner([str(tmp_path)]).look("a")) == [SkippedFile("a", SkipReason.UNREADABLE)]


def test_a_name_that_no_file_can_have_is_no_failure(tmp_path: Path) -> None:
    assert list(Scanner([str(tmp_path)]).look("n" * 300)) == []


def test_a_pipe_in_place_of_an_ignore_file_holds_no_rules(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".gitignore")
    put(tmp_path, "a")

    assert paths(Scanner([str(tmp_path)]).walk()) == ["a"]
    assert paths(Scanner([str(tmp_path)]).look("a")) == ["a"]


def test_the_watcher_hears_of_no_path_that_is_not_the_projects(tmp_path: Path) -> None:
    put(tmp_path, "root/a.py", "root/sub/keep.log", "other.py")
    put(tmp_path, "root/.gitignore", text="*.log\n")
    put(tmp_path, "root/sub/.gitignore", text="!keep.log\nlocal/\n")
    root = tmp_path / "root"
    scanner = Scanner([str(root)])

    assert not scanner.ignored(root, is_dir=True)
    assert not scanner.ignored(root / "a.py", is_dir=False)
    assert not scanner.ignored(root / "sub/keep.log", is_dir=False)
    assert scanner.ignored(root / "b.log", is_dir=False)
    assert scanner.ignored(root / "sub/local", is_dir=True)
    assert scanner.ignored(root / "sub/local/gone.py", is_dir=False)
    assert scanner.ignored(root / ".git/index", is_dir=False)
    assert scanner.ignored(root / "node_modules/x/y.js", is_dir=False)
    assert scanner.ignored(tmp_path / "other.py", is_dir=False)


def test_a_change_of_the_rules_counts_at_once(tmp_path: Path) -> None:
    put(tmp_path, "a.log")
    scanner = Scanner([str(tmp_path)])
    assert not scanner.ignored(tmp_path / "a.log", is_dir=False)

    (tmp_path / ".gitignore").write_text("*.log\n")

    assert scanner.ignored(tmp_path / "a.log", is_dir=False)


def test_nested_repositories_are_walked(tmp_path: Path) -> None:
    put(tmp_path, "module/.git/config", "module/a.py", "worktree/.git", "worktree/b.py")

    assert paths(Scanner([str(tmp_path)]).walk()) == ["module/a.py", "worktree/b.py"]


def test_every_reason_has_its_sentence() -> None:
    assert set(REASONS) == set(SkipReason)
    assert set(SkipReason) > FAILURES
    assert all(sentence.endswith(".") for sentence in REASONS.values())
