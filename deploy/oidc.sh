#!/bin/sh
# The provider that the tests sign in with: sh deploy/oidc.sh
# Puts the packages that tests/oidc/package-lock.json names into .cache/oidc. Nothing that is
# released holds any of them.
set -eu
cd "$(dirname "$0")/.."
. deploy/npm.sh

made_from=$(cat tests/oidc/package-lock.json deploy/oidc.sh | sha256sum | cut -c1-16)

is_ready() {
    [ "$(cat .cache/oidc/made_from)" = "$made_from" ]
} 2>/dev/null

mkdir -p .cache
exec 9>.cache/oidc.lock
flock 9
is_ready && exit 0
echo "Fetching the tests' sign-in provider"
rm -rf .cache/oidc.new
mkdir .cache/oidc.new
if [ -d offline/oidc ]; then
    cp -R offline/oidc .cache/oidc.new/node_modules
else
    install_packages tests/oidc .cache/oidc.new
fi
echo "$made_from" >.cache/oidc.new/made_from
rm -rf .cache/oidc
mv .cache/oidc.new .cache/oidc
