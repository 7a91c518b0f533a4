#!/usr/bin/env bash
# The README's commands in bare Debian 12 systems: bash deploy/test-bare.sh [case...]
#   root     a clone in /srv, as root
#   home     a clone in root's own home, which user postgres can't enter
#   user     a plain user with sudo
#   denied   a plain user without: one line says what to run
#   killed   root, and the set-up killed again and again before
#   offline  the archive of `make bundle`, with the network off
# Environment: SCRATCH (a folder outside the clone), TARGET=setup (stop before the city is served),
# REPOSITORY (another one to clone), TESTS=1 (run `make test` too), KEEP=1 (leave the systems for a look).
set -euo pipefail
cd "$(dirname "$0")/.."

repository=${REPOSITORY:-$PWD}
scratch=${SCRATCH:-/var/tmp/shikong-bare}
base=$scratch/base
cases=${*:-root home user denied killed offline}

# Debian's own sources as this machine has them: a mirror near it, maybe the only one it reaches.
debian_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Identifier: Packages' 'Origin: Debian' | sort -u
}

make_base() {
    [ ! -e "$base.done" ] || return 0
    rm -rf "$base"
    mkdir -p "$scratch"
    local mirror
    mirror=$(debian_sources | awk '$3 == "bookworm" {print $2; exit}')
    debootstrap --variant=minbase bookworm "$base" "$mirror" >"$scratch/debootstrap.log"
    debian_sources >"$base/etc/apt/sources.list"
    touch "$base.done"
}

# What this machine needs to reach the registries, the system needs too. Its trust store goes to a
# place of its own: installing ca-certificates would write over it.
lend_network() {
    local root=$1 name trust=${PIP_CERT:-${SSL_CERT_FILE:-}}
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
    env | grep -E '^(PIP_|NPM_|npm_|(http|https|no)_proxy=)' | grep -v FIND_LINKS |
        sed "s/'/'\\\\''/g; s/=\(.*\)/='\1'/; s/^/export /" >"$root/lent" || true
    if [ -e "$trust" ]; then
        install -m 644 "$trust" "$root/lent.crt"
        for name in PIP_CERT SSL_CERT_FILE NODE_EXTRA_CA_CERTS; do
            echo "export $name=/lent.crt" >>"$root/lent"
        done
    fi
}

# Runs a script inside, in name spaces that take everything with them when it ends.
inside() {
    local root=$1 network=$2
    # shellcheck disable=SC2016
    timeout 1800 unshare --mount --pid --fork --kill-child $network bash -c '
        mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev"
        [ -z "$1" ] || ip link set lo up
        exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb bash -eu -c ". /lent; . /inside"
    ' "$root" "$network"
}

prologue() {
    cat <<'INSIDE'
said() { echo "    $(date +%T) $*"; }
timed() { local t=$SECONDS; "$@" || { echo "    FAILED: $*"; exit 1; }; said "$* took $((SECONDS - t)) s"; }
as() { if [ "$1" = root ]; then shift; "$@"; else local u=$1; shift; su "$u" -s /bin/bash -c ". /lent; PORT=${PORT:-} TARGET=${TARGET:-} $(printf '%q ' "$@")"; fi; }
first_line() { apt-get -qq update && apt-get -qq -y install git make python3 python3-venv >/dev/null 2>&1; }
page() { .venv/bin/python -c "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5).read()" "http://127.0.0.1:$PORT/" 2>/dev/null; }
no_cluster_of_its_own() { ! ls /etc/postgresql/*/main >/dev/null 2>&1; }
servers() { grep -lsz 'bin/[p]ostgres' /proc/[0-9]*/cmdline | wc -l; }
interrupt() { # Ctrl-C for the server, in whatever session su put it
    local process
    for process in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <$process/cmdline | grep -q '^[^ ]*python[^ ]* [^ ]*bin/shikong demo'; then
            kill -INT "${process#/proc/}"
        fi
    done
}
serve() { # until the page is there; then Ctrl-C, after which nothing may be left
    local who=$1 t=$SECONDS
    setsid bash -c "$(declare -f as); PORT=$PORT; as $who make demo PORT=$PORT" >/tmp/demo.log 2>&1 & local demo=$!
    until page; do
        kill -0 $demo 2>/dev/null || { tail -20 /tmp/demo.log; exit 1; }
        sleep 0.2
    done
    said "make demo answered after $((SECONDS - t)) s"
    interrupt
    wait $demo || true
    [ "$(servers)" = 0 ] || { echo "    FAILED: PostgreSQL still runs"; exit 1; }
}
run_it() { # as whom
    if [ "${TARGET:-demo}" = setup ]; then
        timed as "$1" make setup; timed as "$1" make setup
        timed as "$1" .venv/bin/python -c 'import pathlib, layers.servers.embedded as e
with e.running_cluster(pathlib.Path(".shikong"), say=print): pass'
    else
        serve "$1"; serve "$1"; serve "$1"
    fi
    no_cluster_of_its_own || { echo "    FAILED: the package made a cluster of its own"; exit 1; }
    [ -z "${TESTS:-}" ] || timed as "$1" make test
}
INSIDE
    echo "PORT=${PORT:-8765} TARGET=${TARGET:-demo} TESTS=${TESTS:-}"
}

script() {
    prologue
    case $1 in
    root) echo 'timed first_line; git clone -q /source.git /srv/shikong; cd /srv/shikong; run_it root' ;;
    home) echo 'timed first_line; git clone -q /source.git /root/shikong; cd /root/shikong; run_it root' ;;
    user) cat <<'INSIDE' ;;
timed first_line
apt-get -qq -y install sudo >/dev/null 2>&1
useradd -m ada; echo 'ada ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ada
cd /home/ada; as ada git clone -q /source.git shikong; cd shikong; run_it ada
INSIDE
    denied) cat <<'INSIDE' ;;
timed first_line
useradd -m ada; cd /home/ada; as ada git clone -q /source.git shikong; cd shikong
if as ada make demo >/tmp/out 2>&1; then echo "    FAILED: it claims to work"; exit 1; fi
sed 's/^/    | /' /tmp/out; grep -q 'As root, run: ' /tmp/out
INSIDE
    killed) cat <<'INSIDE' ;;
timed first_line; git clone -q /source.git /srv/shikong; cd /srv/shikong
for seconds in ${POINTS:-0.5 1 2 3 4 5 6 7 8 9 10 11 12 14 16 18 20 24 28 32}; do
    setsid make setup >/tmp/out 2>&1 & pid=$!
    sleep $seconds; kill -9 -- -$pid 2>/dev/null || true; wait $pid 2>/dev/null || true
done
said "killed often enough"; run_it root
INSIDE
    offline) echo 'cd /srv; tar xf /bundle.tar; cd shikong-*; timed sh deploy/packages.sh base; run_it root' ;;
    *) echo "no case $1" >&2 && exit 2 ;;
    esac
}

try() {
    local name=$1 root=$scratch/$1 network=
    echo "$name"
    rm -rf "$root"
    cp -a "$base" "$root"
    lend_network "$root"
    if [ "$name" = offline ]; then
        network=--net
        cp "$(ls -t dist/shikong-*-offline.tar | head -1)" "$root/bundle.tar"
    else
        git clone -q --bare "$repository" "$root/source.git"
        git config --file "$root/etc/gitconfig" safe.directory '*' # it belongs to whoever runs this
    fi
    script "$name" >"$root/inside"
    inside "$root" "$network" || { echo "    FAILED: $name"; failed="$failed $name"; }
    [ -n "${KEEP:-}" ] || rm -rf "$root"
}

case $scratch/ in "$repository"/*) echo "SCRATCH must lie outside the clone" >&2 && exit 2 ;; esac
failed=
make_base
for name in $cases; do
    try "$name"
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
echo "all passed"
