#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that a clean clone works on a bare Debian: makes one with debootstrap below build/bare, in
# namespaces of its own, clones the project's last commit into it and runs ./run test there (or
# another command). All that the bare system has of this one: the archive's address, proxy and
# certificate settings, the network, and the folder of recorded data, read-only.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
source scripts/common.sh
source scripts/deps.sh
source scripts/peers.sh

usage="usage: scripts/bare_system.sh SUITE [--root|--user|--sudo] [--keep] [COMMAND…]

SUITE is bookworm or trixie. COMMAND is what to run in the clone, by default: ./run test
  --root  run it as root (the default)
  --user  run it as an ordinary user without rights. It has to end with exit code 3 and to name
          the packages; those are then installed by root, and it runs again
  --sudo  run it as an ordinary user with sudo
  --keep  leave the system in build/bare for a look
Needs root and debootstrap. Prints the time and the exit code."

help_wanted "$usage" "$@"
suite=${1:-}
[[ $suite == bookworm || $suite == trixie ]] || die "$EXIT_USAGE" "$usage"
shift
who=--root
keep=false
while (($# > 0)); do
    case $1 in
    --root | --user | --sudo) who=$1 ;;
    --keep) keep=true ;;
    *) break ;;
    esac
    shift
done
(($# > 0)) || set -- ./run test
((EUID == 0)) || die "$EXIT_MISSING" "making a bare system needs root (chroot, mounts)"
command -v debootstrap >/dev/null || die "$EXIT_MISSING" "install by hand: apt-get install debootstrap"

readonly bare=$PWD/build/bare
readonly root=$bare/$suite$who
readonly data=${ISTHMUS_DATA:-$PWD/../shared/data}
home=/root
[[ $who == --root ]] || home=/home/plant
readonly home

# A base system with git, made once a suite.
make_base() {
    local archive=$bare/$suite.tar sources=$bare/$suite.list uri
    [[ ! -f $archive ]] || return 0
    step "Making a bare $suite"
    mkdir -p "$bare"
    peer_apt "$PEERS/apt" apt-get -q update >/dev/null 2>&1 || true
    peer_suite_sources "$suite" >"$sources"
    uri=$(awk -v suite="$suite" '$4 == suite { print $3; exit }' "$sources")
    [[ -n $uri ]] || die "$EXIT_FAILED" "this system's apt sources name no Debian archive"
    rm -rf "$bare/base"
    quietly "debootstrap-$suite.log" debootstrap --variant=minbase \
        --include=git,ca-certificates,sudo "$suite" "$bare/base" "$uri"
    cp "$sources" "$bare/base/etc/apt/sources.list"
    tar -C "$bare/base" -cf "$archive.new" .
    mv "$archive.new" "$archive"
    rm -rf "$bare/base"
}

# Unpacks the system afresh, with this one's way to the network, a user and a clone for each.
make_system() {
    step "Unpacking it in $root"
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" -xf "$bare/$suite.tar"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump Acquire | grep -iE '^Acquire::https?::' >"$root/etc/apt/apt.conf.d/99host" || true
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    chroot "$root" useradd --create-home --shell /bin/bash plant
    if [[ $who == --sudo ]]; then
        echo 'plant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/plant"
    fi
    git clone -q --no-hardlinks . "$root$home/isthmus"
    chroot "$root" chown -R --reference="$home" "$home/isthmus"
    mkdir -p "$root/srv/data"
}

# inside USER COMMAND…: runs it in the clone. The process namespace ends all that it left running.
inside() {
    local user=$1 name settings=()
    shift
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY NODE_EXTRA_CA_CERTS; do
        [[ -z ${!name:-} ]] || settings+=("$name=${!name}")
    done
    [[ ! -d $data ]] || settings+=(ISTHMUS_DATA=/srv/data)
    [[ -z ${CI:-} ]] || settings+=("CI=$CI")
    # shellcheck disable=SC2016  # for the inner shell to expand
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 data=$2 user=$3 clone=$4
        shift 4
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        [[ ! -d $data ]] || mount --bind -o ro "$data" "$root/srv/data"
        home=/root
        [[ $user == root ]] || home=/home/$user
        exec chroot --userspec="$user:$user" "$root" env -i -C "$clone" HOME="$home" USER="$user" \
            LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' bash "$root" "$data" "$user" "$home/isthmus" "${settings[@]}" "$@" </dev/null
}

# Without rights the first attempt must say what root has to install; here root does just that.
install_as_told() {
    local status=0 told
    step "As a user without rights: must name what to install"
    inside plant "$@" >"$bare/told.txt" 2>&1 || status=$?
    ((status == EXIT_MISSING)) || die "$EXIT_FAILED" "exit code $status instead of 3: $(<"$bare/told.txt")"
    told=$(sed -n 's/^    \(apt-get update && .*\)/\1/p' "$bare/told.txt")
    [[ -n $told ]] || die "$EXIT_FAILED" "no command for root in: $(<"$bare/told.txt")"
    step "As root: $told"
    quietly "bare-$suite-told.log" inside root DEBIAN_FRONTEND=noninteractive sh -c "${told/ install / install -y }"
}

main() {
    local start status=0 user=plant
    make_base
    make_system
    [[ $who != --root ]] || user=root
    [[ $who != --user ]] || install_as_told "$@"
    step "As ${who#--} on bare $suite: $*"
    start=$SECONDS
    inside "$user" "$@" || status=$?
    say "bare $suite, ${who#--}: $*: exit code $status, $((SECONDS - start)) s"
    $keep || rm -rf "$root"
    return "$status"
}

main "$@"
