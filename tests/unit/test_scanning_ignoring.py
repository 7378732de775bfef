"""Ignore rules are git's: the same random trees and globs go through `git ls-files` and through the scanner."""

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from muniment.scanning import FoundFile, Scanner
from muniment.scanning.globbing import translate
from muniment.scanning.ignoring import parse_globs, parse_ignore_file

NAMES = [
    "a",
    "b",
    "ab",
    "abc",
    "a.c",
    "b.c",
    ".x",
    "a b",
    "é",
    "[",
    "foo",
    "foo.o",
    "-",
    "a-c",
    "x*y",
    "q\\",
    "#h",
    "!n",
]
PLAIN = ["a", "b", "c", "foo", ".", ".c", "é", "-", " ", "#", "/", "/"]
STARS = ["*", "**", "***", "**/", "/**", "**\\/", "?", "\\", "\\*", "\\ "]
SETS = ["[ab]", "[!a]", "[^b.]", "[a-c]", "[]a]", "[a/b]", "[.-0]", "[\\]a]", "[a-\\c]", "[-a]", "[a-]", "["]
CLASSES = ["[[:alpha:]]", "[[:punct:]]", "[[:zz:]]", "[[:]"]
ATOMS = [*PLAIN, *STARS, *SETS, *CLASSES]


def git(*arguments: str) -> bytes:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *arguments], check=True, capture_output=True, env=environment).stdout


def kept_by_git(root: Path) -> set[str]:
    listed = git("-C", str(root), "ls-files", "--others", "--exclude-standard", "-z")
    return set(listed.decode().split("\0")) - {""}


def kept_by_us(root: Path) -> set[str]:
    return {item.path for item in Scanner([str(root)]).walk() if isinstance(item, FoundFile)}


def random_glob(dice: random.Random) -> str:
    glob = "".join(dice.choice(ATOMS) for _ in range(dice.randint(1, 5)))
    before = "!" if dice.random() < 0.25 else ""
    slash = "/" if dice.random() < 0.15 else ""
    after = dice.choice(["", "", "", "", "/", "/", " ", "  ", "\r"])
    return before + slash + glob + after


def random_tree(dice: random.Random, folder: Path, depth: int = 0) -> None:
    for name in dice.sample(NAMES, dice.randint(2, 6)):
        if depth < 3 and dice.random() < 0.45:
            (folder / name).mkdir()
            random_tree(dice, folder / name, depth + 1)
        else:
            (folder / name).touch()
    if depth == 0 or dice.random() < 0.35:
        mark = b"\xef\xbb\xbf" if dice.random() < 0.05 else b""
        lines = "\n".join(random_glob(dice) for _ in range(dice.randint(1, 5)))
        (folder / ".gitignore").write_bytes(mark + lines.encode())


@pytest.mark.parametrize("seed", range(40))
def test_a_random_tree_is_listed_as_git_lists_it(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    random_tree(dice, tmp_path)
    git("init", "-q", str(tmp_path))
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / ".git/info/exclude").write_text(random_glob(dice))

    kept = kept_by_git(tmp_path)

    assert kept_by_us(tmp_path) == kept
    scanner = Scanner([str(tmp_path)])
    for path in tmp_path.rglob("*"):
        name = path.relative_to(tmp_path).as_posix()
        if path.is_file() and not name.startswith(".git/"):
            assert bool(list(scanner.look(name))) == (name in kept)
            assert scanner.ignored(path, is_dir=False) == (name not in kept)


def test_the_random_trees_do_put_the_rules_to_work(tmp_path: Path) -> None:
    hidden = 0
    for seed in range(20):
        root = tmp_path / str(seed)
        root.mkdir()
        random_tree(random.Random(seed), root)
        scanner = Scanner([str(root)])
        list(scanner.walk())
        hidden += scanner.ignored_entries
    assert hidden > 20


@pytest.mark.parametrize(
    "rules",
    [
        "*.o\n!keep.o",
        "out/\n!out/keep.o",  # nothing comes back from below an excluded folder
        "out/*\n!out/keep.o",
        "/keep.o",
        "out/keep.o",
        "keep.o/",
        "**/keep.o",
        "out/**",
        "out/**/keep.o",
        "a**/b",  # behind a literal prefix, two stars may still stand for folders
        "a/**b",
        "trailing   ",
        "trailing\\   ",
        "trailing\\\\ ",
        "tab\t",
        "\\#hash\n\\!bang",
        "#hash\n",
        "back\\",
        "[",
        "[a-",
        "?",  # one byte, not one letter
        "??",
        "[!a]",
        "/",
        "//keep.o",
        "!",
        "*\n!*/\n!*.o",
        "keep.o\r\nout\r\n",
    ],
)
def test_an_edge_of_the_rules_is_where_git_has_it(tmp_path: Path, rules: str) -> None:
    for name in (
        "keep.o",
        "ab",
        "out/keep.o",
        "out/x/keep.o",
        "a/b",
        "a/x/b",
        "a/xb",
        "abc/b",
        "trailing",
        "trailing ",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    for name in ("tab", "tab\t", "#hash", "!bang", "back", "back\\", "[", "é", "e", "line\nbreak"):
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_bytes(rules.encode())
    git("init", "-q", str(tmp_path))

    assert kept_by_us(tmp_path) == kept_by_git(tmp_path)


def test_a_deeper_file_overrules_a_higher_one(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "sub/.gitignore").write_text("!kept.log\n")
    for name in ("a.log", "sub/kept.log", "sub/b.log"):
        (tmp_path / name).touch()

    assert kept_by_us(tmp_path) == {".gitignore", "sub/.gitignore", "sub/kept.log"}


def test_rules_of_the_work_tree_around_a_root_count(tmp_path: Path) -> None:
    git("init", "-q", str(tmp_path))
    (tmp_path / "pkg/deep").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.log\n/pkg/deep/x\n/deep\n")
    for name in ("pkg/a.log", "pkg/deep/x", "pkg/deep/y"):
        (tmp_path / name).touch()

    assert kept_by_us(tmp_path / "pkg") == {"deep/y"}


def test_rules_above_a_root_without_a_work_tree_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / "pkg/a").touch()

    assert kept_by_us(tmp_path / "pkg") == {"a"}


def test_a_root_below_an_ignored_folder_is_still_listed(tmp_path: Path) -> None:
    git("init", "-q", str(tmp_path))
    (tmp_path / "generated/api").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("/generated/\n")
    (tmp_path / "generated/api/a").touch()

    assert kept_by_us(tmp_path / "generated/api") == {"a"}


def test_an_ignore_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("*\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/.gitignore").symlink_to("../rules")
    (tmp_path / "tree/a").touch()

    assert kept_by_us(tmp_path / "tree") == {"a"}


@pytest.mark.parametrize("glob", ["*a" * 30 + "b", "**/a/" * 30 + "b", "[a]*" * 30 + "[!a]"])
def test_a_hostile_glob_does_not_hang(glob: str) -> None:
    def stop(*_: object) -> None:
        raise TimeoutError

    rules = parse_globs([glob])
    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 5)
    try:
        verdict = rules.verdict("a" * 200, "a/" * 500 + "a" * 200, is_dir=False)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

    assert verdict is None


def test_a_glob_that_git_can_never_match_has_no_expression() -> None:
    assert [translate(glob) for glob in ("a\\", "[", "[a-", "[[:no:]]")] == [None] * 4


def test_equal_ignore_files_share_their_rules() -> None:
    assert parse_ignore_file(b"*.o\n") is parse_ignore_file(b"*.o\n")
    assert not parse_ignore_file(b"# nothing\n\n")


@pytest.mark.parametrize("kind", ["work tree", "submodule"])
def test_the_exclude_file_of_a_linked_repository_counts_as_git_has_it(tmp_path: Path, kind: str) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    git("init", "-q", str(main))
    author = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    git(*author, "-C", str(main), "commit", "-q", "--allow-empty", "-m", "first")
    if kind == "work tree":
        git("-C", str(main), "worktree", "add", "-q", str(linked))
        exclude = main / ".git/info/exclude"
    else:
        git("init", "-q", str(tmp_path / "outer"))
        git(*author, "-C", str(tmp_path / "outer"), "submodule", "--quiet", "add", str(main), "inner")
        linked = tmp_path / "outer/inner"
        exclude = tmp_path / "outer/.git/modules/inner/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*.log\n")
    for name in ("a.log", "a.py"):
        (linked / name).touch()
    assert (linked / ".git").is_file()

    kept = kept_by_git(linked)

    assert kept == {"a.py"}
    assert kept_by_us(linked) - {".git"} == kept
