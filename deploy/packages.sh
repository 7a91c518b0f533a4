#!/bin/sh
# Debian packages: sh deploy/packages.sh base|demo|test
#   base  git, make, python3, python3-venv: README's first line, for a machine without network
#   demo  PostgreSQL and PostGIS, unless DATABASE_URL names a server
#   test  demo, and what the tests drive: Chromium, Chinese fonts, curl, GDAL's command
#         line, and a library of the program that drives Chromium
# Installs what is missing and nothing else; from offline/debs alone where that folder exists.
set -eu
cd "$(dirname "$0")/.."

base="git make python3 python3-venv"
database="postgresql-15 postgresql-15-postgis-3"
tools="chromium curl fonts-noto-cjk gdal-bin libatomic1"

# False for a package that is absent, or half installed because somebody was interrupted.
configured() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# A PostgreSQL of at least 15 that has PostGIS, as layers/servers/postgres.py looks for it.
has_postgis() {
    command -v dpkg-query >/dev/null || { command -v postgres >/dev/null && return 0; }
    for folder in /usr/lib/postgresql/*; do
        version=${folder##*/}
        [ -x "$folder/bin/postgres" ] && [ "$version" -ge 15 ] &&
            [ -e "/usr/share/postgresql/$version/extension/postgis.control" ] &&
            configured "postgresql-$version" &&
            configured "postgresql-$version-postgis-3" && return 0
    done
    return 1
}

missing() {
    case $level in
    base) wanted=$base ;;
    demo) wanted= ;;
    test) wanted=$tools ;;
    *) echo "usage: sh deploy/packages.sh base|demo|test" >&2 && exit 2 ;;
    esac
    if [ "$level" != base ] && [ -z "${DATABASE_URL:-}" ] && ! has_postgis; then
        wanted="$database $wanted"
    fi
    for package in $wanted; do
        configured "$package" || printf '%s ' "$package"
    done
}

# Tries again while another program holds the package database, for up to five minutes: a set-up
# that was killed may have left its own apt running.
patiently() {
    tries=0
    until "$@" 2>"$scratch/error"; do
        if ! grep -qi 'lock' "$scratch/error" || [ $tries -ge 150 ]; then
            cat "$scratch/error" >&2
            return 1
        fi
        tries=$((tries + 1))
        sleep 2
    done
}

apt() {
    # shellcheck disable=SC2086 # a list of options
    patiently env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=false \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold $offline "$@"
}

# One source, with lists of their own: the machine's other sources can't be asked anyway.
use_offline_packages() {
    echo "deb [trusted=yes] file:$(pwd | sed 's/ /%20/g')/offline/debs ./" >"$scratch/sources.list"
    mkdir -p "$scratch/lists/partial" "$scratch/archives/partial"
    offline="-o Dir::Etc::sourcelist=$scratch/sources.list -o Dir::Etc::sourceparts=-
        -o Dir::State::lists=$scratch/lists -o Dir::Cache=$scratch -o APT::Sandbox::User=root"
    apt update
}

install_packages() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    offline=
    # The package starts a cluster of its own, on port 5432 and at every boot, unless told otherwise
    # before it comes. Only for this once: what others install later is not ours to settle.
    settings=/etc/postgresql-common/createcluster.d/shikong.conf
    mkdir -p "$(dirname $settings)"
    echo "create_main_cluster = false" >$settings
    if ! {
        patiently dpkg --force-confdef --force-confold --configure -a &&
            { [ ! -d offline/debs ] || use_offline_packages; } &&
            install_or_mend "$@"
    } >"$scratch/log" 2>&1; then
        tail -20 "$scratch/log" >&2
        exit 1
    fi
    rm -f $settings
}

# The package lists may be absent or old, and a killed installation may want mending first.
install_or_mend() {
    apt install "$@" && return
    [ -n "$offline" ] || apt update
    apt -f install
    apt install "$@"
}

refuse() {
    echo "$1" >&2
    [ "$level" = test ] && exit 0 # the tests that need it say so themselves
    exit 1
}

if [ "$1" = install ]; then
    shift
    install_packages "$@"
    exit
fi
level=$1
packages=$(missing)
[ -n "$packages" ] || exit 0
if ! command -v apt-get >/dev/null; then
    refuse "Missing: ${packages% } (no Debian here: install PostgreSQL 15 or newer with PostGIS 3, or set DATABASE_URL)"
fi
echo "Installing ${packages% }"
install="sh $(pwd)/deploy/packages.sh install ${packages% }"
# shellcheck disable=SC2086 # a list of words
if [ "$(id -u)" = 0 ]; then
    sh deploy/packages.sh install $packages
elif ! command -v sudo >/dev/null; then
    refuse "This user may not. As root, run: $install"
elif sudo -n true 2>/dev/null || [ -t 0 ]; then
    sudo sh deploy/packages.sh install $packages || refuse "This user may not. As root, run: $install"
else
    refuse "This user may not. Run: sudo $install"
fi
