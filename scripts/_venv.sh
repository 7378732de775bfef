# Sourced by the scripts beside it, with `root` set: makes $root/.venv hold Muniment (editable) and its dependencies.
# Needs python3 >= 3.11 with venv. A stamp of pyproject.toml, interpreter and place saves the next call the work.

venv=$root/.venv

_say() { printf '%s\n' "$*" >&2; }

_stamp() { # KIND
    { printf '%s\n' "$1" "$root"; "$python" -V; cat "$root/pyproject.toml"; } | cksum
}

# ensure_venv run|dev : dev adds the tools for tests and checks
ensure_venv() {
    python=${PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        _say "Muniment needs Python 3.11 or newer; '$python' is not. Set PYTHON to one that is."
        exit 1
    fi
    if [ "$(cat "$venv/.muniment-$1" 2>/dev/null)" = "$(_stamp "$1")" ]; then
        return
    fi
    _say "Installing Muniment and what it needs into $venv (once; about a minute) ..."
    if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        if ! "$python" -m venv --clear "$venv"; then
            _say "No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv"
            exit 1
        fi
    fi
    rm -f "$venv"/.muniment-*
    # PEP 735 groups need pip 25.1
    _pip install --upgrade 'pip>=25.1'
    if [ "$1" = dev ]; then
        (cd "$root" && _pip install --editable . --group dev)
    else
        (cd "$root" && _pip install --editable .)
    fi
    _stamp "$1" >"$venv/.muniment-$1"
    # what the tests need includes what running needs
    if [ "$1" = dev ]; then _stamp run >"$venv/.muniment-run"; fi
}

_pip() {
    if ! "$venv/bin/python" -m pip --quiet --no-input --disable-pip-version-check "$@"; then
        _say "pip could not install everything (see above): $*"
        exit 1
    fi
}
