"""Languages and kinds are told from paths."""

import pytest

from muniment.languages import LANGUAGES, Kind, is_stub, is_vendored, kind_of, language_of


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/app.py", "python"),
        ("cmd/main.go", "go"),
        ("src/lib.rs", "rust"),
        ("web/App.TSX", "typescript"),
        ("web/app.mjs", "javascript"),
        ("README.md", "markdown"),
        ("deploy/values.yaml", "yaml"),
        ("pyproject.toml", "toml"),
        ("include/x.h", "c"),
        ("x.hpp", "cpp"),
        ("Dockerfile", "dockerfile"),
        ("docker/Dockerfile.dev", "dockerfile"),
        ("api.dockerfile", "dockerfile"),
        ("Makefile", "make"),
        ("Makefile.am", "make"),
        ("CMakeLists.txt", "cmake"),
        ("go.mod", "go-module"),
        ("LICENSE", "text"),
        ("LICENSE-MIT", "text"),
        ("pkg/BUILD", "bazel"),
        (".bashrc", "shell"),
        ("drivers/net/Kconfig", "kconfig"),
        ("data.xyz", None),
        ("noextension", None),
        (".hidden", None),
    ],
)
def test_a_language_is_told_from_the_name(path: str, language: str | None) -> None:
    assert language_of(path) == language
    assert language is None or language in LANGUAGES


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("src/app.py", Kind.CODE),
        ("src/contest.py", Kind.CODE),
        ("src/latest.go", Kind.CODE),
        ("src/Latest.cs", Kind.CODE),
        ("src/Manifest.java", Kind.CODE),
        ("src/testing_tools.py", Kind.CODE),
        ("tests/data.json", Kind.TEST),
        ("pkg/test_app.py", Kind.TEST),
        ("pkg/conftest.py", Kind.TEST),
        ("pkg/app_test.go", Kind.TEST),
        ("spec/app_spec.rb", Kind.TEST),
        ("web/app.spec.ts", Kind.TEST),
        ("web/app.test.jsx", Kind.TEST),
        ("web/__tests__/app.js", Kind.TEST),
        ("src/FooTest.java", Kind.TEST),
        ("src/FooTests.cs", Kind.TEST),
        ("pkg/testdata/x.yaml", Kind.TEST),
        ("pkg/fixtures/x.md", Kind.TEST),
        ("README.md", Kind.DOC),
        ("docs/index.rst", Kind.DOC),
        ("docs/diagram.puml", Kind.DOC),
        ("docs/conf.py", Kind.CODE),
        ("docs/changelog.html", Kind.DOC),
        ("docs/_static/searchtools.js", Kind.DOC),
        ("docs/_static/theme.css", Kind.DOC),
        ("documentation/logo.svg", Kind.DOC),
        ("docs/values.yaml", Kind.CONFIG),
        ("web/templates/index.html", Kind.CODE),
        ("LICENSE", Kind.DOC),
        ("examples/hello.py", Kind.EXAMPLE),
        ("examples/README.md", Kind.DOC),
        ("a/b/values.yaml", Kind.CONFIG),
        ("package.json", Kind.CONFIG),
        ("Makefile", Kind.CONFIG),
        ("rows.csv", Kind.OTHER),
        ("x.patch", Kind.OTHER),
        ("unknown.xyz", Kind.OTHER),
    ],
)
def test_a_path_is_of_one_kind(path: str, kind: Kind) -> None:
    assert kind_of(path) is kind


def test_vendored_files_are_told_from_their_folders() -> None:
    assert is_vendored("vendor/github.com/x/y.go")
    assert is_vendored("src/pip/_vendor/six.py")
    assert is_vendored("third_party/x.c")
    assert is_vendored("a/third-party/x.c")
    assert not is_vendored("src/vendor.py")
    assert not is_vendored("src/vendors/x.py")


def test_stubs_are_told_from_their_names() -> None:
    assert is_stub("src/op.pyi")
    assert is_stub("web/index.d.ts")
    assert is_stub("web/index.d.mts")
    assert not is_stub("src/op.py")
    assert not is_stub("web/world.ts")
    assert not is_stub("include/x.h")
