import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muniment.errors import InvalidValue
from muniment.lexical import glob_matcher, glob_patterns

GLOBS = st.lists(
    st.sampled_from(["*", "**", "**/", "/", "?", "a", "b", ".", "[ab]", "[!a]", "x.py", "{a,b}"]),
    min_size=1,
    max_size=8,
).map("".join)
PATHS = st.text(alphabet="ab./xpy", min_size=1, max_size=14)


def by_pattern(globs: list[str], path: str) -> bool:
    wanted, unwanted = glob_patterns(globs)
    return (wanted is None or re.fullmatch(wanted, path) is not None) and (
        unwanted is None or re.fullmatch(unwanted, path) is None
    )


@given(st.lists(st.tuples(st.booleans(), GLOBS), min_size=1, max_size=3), st.lists(PATHS, min_size=1, max_size=8))
@example([(True, "**/a/**/*b*")], ["a/b", "x/a/b", "x/a/y/ab", "a/bx/"])
def test_the_matcher_and_the_patterns_agree(given_globs: list[tuple[bool, str]], paths: list[str]) -> None:
    globs = [glob if wanted else f"!{glob}" for wanted, glob in given_globs]
    try:
        matches = glob_matcher(globs)
    except InvalidValue:
        return
    for path in paths:
        assert matches(path) == by_pattern(globs, path), (globs, path)


@pytest.mark.parametrize("glob", ["**?**?**?**?**?**?**?z", "**/" * 26 + "z", "*a" * 40 + "z", "a*" * 100])
def test_no_glob_takes_long(glob: str) -> None:
    matches = glob_matcher([glob])
    path = "a/" * 40 + "a" * 60
    began = time.process_time()
    for _ in range(20):
        matches(path)  # took a second and more each
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.{c,h}", "drivers/net/a.h"),
        ("./src/**", "src/a/b.py"),
        (" src/*.py ", "src/a.py"),
        (r"src\*.py", "src/a.py"),
        ("{src,lib}/{a,b}.py", "lib/b.py"),
        ("/src", "src/a.py"),
    ],
)
def test_globs_are_read_as_people_write_them(glob: str, path: str) -> None:
    assert glob_matcher([glob])(path)
    assert not glob_matcher([f"!{glob}"])(path)
    assert by_pattern([glob], path)
    assert not glob_matcher([glob])("other/z.txt")


@pytest.mark.parametrize("glob", ["!", ".", "./", "/", "!  ", "{a,b}" * 8, "x" * 301])
def test_a_glob_that_can_match_nothing_or_too_much_is_refused(glob: str) -> None:
    with pytest.raises(InvalidValue, match="path_glob"):
        glob_patterns([glob])
    with pytest.raises(InvalidValue, match="path_glob"):
        glob_matcher([glob])
