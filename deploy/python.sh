#!/bin/sh
# The Python environment: sh deploy/python.sh demo|test
# .venv holds the platform (demo), and what its tests, checks and notebooks need too (test). The
# file .venv/ready says what it was made from, and is there only while it is whole.
set -eu
cd "$(dirname "$0")/.."

level=$1
python=${PYTHON:-python3}
# The folder is part of it: the programs in a virtual environment carry its path.
made_from=$({ pwd && cat pyproject.toml deploy/constraints.txt deploy/python.sh; } | sha256sum | cut -c1-16)

is_ready() {
    [ -x .venv/bin/python ] && read -r found has <.venv/ready && [ "$found" = "$made_from" ] &&
        { [ "$has" = test ] || [ "$has" = "$level" ]; }
} 2>/dev/null

check_python() {
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "$python is missing or older than 3.11; name a newer one: make PYTHON=python3.12" >&2
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python can't make virtual environments; as root, run: apt-get install python3-venv" >&2
        exit 1
    fi
}

# An environment without its mark was left by somebody who was interrupted: it may lack anything.
make_environment() {
    check_python
    if [ -e .venv ]; then
        mv .venv ".venv-old-$$"
    fi
    rm -rf .venv-old-*
    "$python" -m venv .venv
}

# Groups of pyproject.toml, one requirement a line; Debian's pip is too old to read them itself.
requirements() {
    .venv/bin/python - <<'PYTHON'
import pathlib, tomllib
groups = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["dependency-groups"]
print("\n".join(requirement for group in groups.values() for requirement in group))
PYTHON
}

mkdir -p .cache
exec 9>.cache/python.lock
flock 9 # two at once, or one that outlives its killed parent
is_ready && exit 0
echo "Installing the Python packages"
[ -e .venv/ready ] || make_environment
rm -f .venv/ready
set -- --quiet --no-input --disable-pip-version-check --constraint deploy/constraints.txt --no-compile
if [ -d offline/wheels ]; then
    set -- "$@" --no-index --find-links offline/wheels
fi
if [ "$level" = test ]; then
    requirements >.cache/requirements.txt
    .venv/bin/python -m pip install "$@" --requirement .cache/requirements.txt --editable '.[notebook]'
    # On all cores, which pip doesn't; and here, because the tests take every warning for an error,
    # those of compiling other people's modules too.
    .venv/bin/python -m compileall -qq -j 0 .venv/lib || true
else
    .venv/bin/python -m pip install "$@" --editable .
fi
.venv/bin/python -m spatial.warming
echo "$made_from $level" >.venv/ready.new
mv .venv/ready.new .venv/ready
