#!/bin/sh
# Resolves the Python packages anew: the newest that pyproject.toml allows, into constraints.txt.
# Run the tests before you commit the result.
set -eu
cd "$(dirname "$0")/.."

cp deploy/constraints.txt .cache/constraints.before
: >deploy/constraints.txt
trap 'cp .cache/constraints.before deploy/constraints.txt' EXIT
mv .venv .venv-old-lock 2>/dev/null || true
sh deploy/python.sh test
.venv/bin/python -m pip freeze --exclude-editable >.cache/constraints.new
if grep -n '[@/]' .cache/constraints.new; then
    echo "a package came from a file or an address, not from the registry" >&2
    exit 1
fi
trap - EXIT
mv .cache/constraints.new deploy/constraints.txt
rm -f .venv/ready
