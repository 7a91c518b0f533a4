#!/bin/sh
# QGIS, as a client to test with: sh deploy/qgis.sh [debian-12|debian-13]
#   debian-12  this Debian's own, by apt: about 930 MB
#   debian-13  that of the next Debian, which edits features too, in a tree of its own in
#              .cache/debian-13: about 2.2 GB, as root alone, by debootstrap
# Both where none is named. No other test and nothing that is released needs any of it.
set -eu
cd "$(dirname "$0")/.."

packages="python3-qgis qgis-providers"

install_here() {
    /usr/bin/python3 -c "import qgis.core" 2>/dev/null && return
    echo "Installing $packages"
    # shellcheck disable=SC2086 # a list of words
    sh deploy/packages.sh install $packages
}

# In a mount namespace of its own: nothing of /proc stays in the tree once this ends.
in_tree() {
    unshare --mount sh -c 'tree=$1; shift; mount -t proc proc "$tree/proc"; exec chroot "$tree" "$@"' \
        sh "$tree" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

# Where this Debian gets its packages from, the next one's are too.
mirror() {
    apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Identifier: Packages' |
        sed -n "s/^$(. /etc/os-release && echo "$VERSION_CODENAME") //p" | head -1
}

install_tree() {
    tree=$(pwd)/.cache/debian-13
    chroot "$tree" /usr/bin/python3 -c "import qgis.core" 2>/dev/null && return
    if [ "$(id -u)" != 0 ]; then
        echo "The QGIS of Debian 13 needs root: sudo sh deploy/qgis.sh debian-13" >&2
        return 1
    fi
    command -v debootstrap >/dev/null || sh deploy/packages.sh install debootstrap
    echo "Installing $packages of Debian 13 into .cache/debian-13"
    mkdir -p .cache
    rm -rf --one-file-system "$tree"
    {
        debootstrap --variant=minbase trixie "$tree" "$(mirror)" &&
            cp /etc/resolv.conf "$tree/etc/resolv.conf" &&
            in_tree apt-get -qq update &&
            # shellcheck disable=SC2086 # a list of words
            in_tree apt-get -qq -y --no-install-recommends install $packages &&
            in_tree apt-get -qq clean
    } >.cache/debian-13.log 2>&1 || { tail -20 .cache/debian-13.log >&2 && return 1; }
}

case ${1:-both} in
debian-12) install_here ;;
debian-13) install_tree ;;
both) install_here && install_tree ;;
*) echo "usage: sh deploy/qgis.sh [debian-12|debian-13]" >&2 && exit 2 ;;
esac
