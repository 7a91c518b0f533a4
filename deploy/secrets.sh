#!/bin/sh
# No credential is ever committed: sh deploy/secrets.sh
# Looks at every tracked file. What only looks like a secret gets `pragma: allowlist secret` and
# the reason on its line; there is no list of exceptions elsewhere to grow stale.
set -eu
cd "$(dirname "$0")/.."

if [ ! -e .git ]; then
    echo "Secrets: this is no git clone, so nothing is tracked and nothing was looked at" >&2
    exit 0
fi
# What was found clean is known by its content and not looked at again.
mkdir -p .cache
clean=.cache/secrets-$(cat deploy/constraints.txt deploy/secrets.sh | sha256sum | cut -c1-16)
touch "$clean"
git ls-files -z | xargs -0 sha256sum -z >.cache/secrets.now 2>/dev/null || true # some are deleted
# Not verified: that would send what was found to the service it seems to belong to.
grep -zvxFf "$clean" .cache/secrets.now | cut -z -c67- |
    xargs -0 -r -n 60 -P "$(nproc)" .venv/bin/python -m detect_secrets.pre_commit_hook --no-verify
tr '\0' '\n' <.cache/secrets.now >"$clean"
