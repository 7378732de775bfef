"""The commit of a work tree, and nothing else that its files may name."""

import os
import subprocess

import pytest

from muniment.indexing.git_head import head_commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree/.git/refs/heads").mkdir(parents=True)
    return tmp_path / "tree"


def git(*arguments, cwd):
    environment = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    environment |= {"GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(
        ["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True, text=True
    ).stdout


def test_the_head_of_a_real_repository_its_packed_refs_and_its_linked_work_trees(tmp_path):
    repository = tmp_path / "repository"
    (repository / "deep").mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=repository)
    assert head_commit(str(repository)) is None
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=repository)
    commit = git("rev-parse", "HEAD", cwd=repository).strip()
    assert head_commit(str(repository / "deep")) == commit
    git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"), cwd=repository)
    assert head_commit(str(tmp_path / "linked")) == commit
    git("pack-refs", "--all", cwd=repository)
    assert head_commit(str(repository)) == commit
    git("checkout", "-q", "--detach", cwd=repository)
    assert head_commit(str(repository)) == commit


def test_outside_a_repository_there_is_none(tmp_path):
    assert head_commit(str(tmp_path)) is None


@pytest.mark.parametrize("reference", ["{secret}", "../../secret", "refs/../../../secret", "refs/heads/link"])
def test_a_reference_that_leads_elsewhere_is_not_followed(tree, tmp_path, reference):
    secret = tmp_path / "secret"
    secret.write_text(COMMIT)
    (tree / ".git/refs/heads/link").symlink_to(secret)
    (tree / ".git/HEAD").write_text("ref: " + reference.format(secret=secret))
    assert head_commit(str(tree)) is None


def test_only_a_hash_is_ever_shown(tree):
    (tree / ".git/HEAD").write_text("ref: refs/heads/main")
    (tree / ".git/refs/heads/main").write_text("TOP SECRET")
    assert head_commit(str(tree)) is None
    (tree / ".git/HEAD").write_text("TOP SECRET")
    assert head_commit(str(tree)) is None


def test_a_pipe_in_place_of_head_is_no_reason_to_wait(tree):
    os.mkfifo(tree / ".git/HEAD")
    assert head_commit(str(tree)) is None
