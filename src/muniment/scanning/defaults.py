"""What is left out of every project unless its owner brings it back (``!dist/`` in .munimentignore). Note that
``vendor`` is kept: what a repository vendors is what it runs."""

from collections.abc import Mapping

ALWAYS_EXCLUDED: frozenset[str] = frozenset({".git", ".hg", ".svn"})  # no rule brings these back

DEFAULT_EXCLUDES: Mapping[str, tuple[str, ...]] = {
    "version control": (".bzr/", ".jj/", "CVS/"),
    "installed dependencies": ("node_modules/", "bower_components/", "jspm_packages/", "__pypackages__/"),
    "virtual environments": (".venv/", "venv/", ".tox/", ".nox/", ".direnv/"),
    "caches": (
        "__pycache__/",
        ".cache/",
        ".mypy_cache/",
        ".pytest_cache/",
        ".ruff_cache/",
        ".hypothesis/",
        ".gradle/",
        ".terraform/",
        ".dart_tool/",
        ".parcel-cache/",
        ".turbo/",
        ".sass-cache/",
        ".ipynb_checkpoints/",
    ),
    "build output": ("dist/", "build/", ".next/", ".nuxt/", ".svelte-kit/", ".eggs/", "*.egg-info/"),
    "reports": ("htmlcov/", ".nyc_output/"),
    "editors and desktops": (".idea/", ".vs/", ".history/", ".DS_Store", "Thumbs.db"),
}
