# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Which Debian packages a command needs, and their installation. The lists hold for Debian 12 and 13.
# Packages that would start a service are never installed: see peers.sh.

# The compiler for fuzzing and its run-time library carry their version in the package's name.
clang_version() {
    case $(debian_version) in
    12) echo 14 ;;
    *) echo 19 ;;
    esac
}

debian_version() {
    sed -n 's/^VERSION_ID="\?\([0-9]*\).*/\1/p' /etc/os-release
}

# The layout of the code is that of clang-format 14, which Debian 13 no longer has.
format_version=14

# packages_for COMMAND: one package a line.
packages_for() {
    case $1 in
    build)
        printf '%s\n' build-essential meson ninja-build pkg-config libuv1-dev libwebsockets-dev \
            libwebsockets-evlib-uv libmosquitto-dev libcurl4-openssl-dev libyaml-dev \
            libjansson-dev libssl-dev libseccomp-dev libzstd-dev libsqlite3-dev libargon2-dev libcmocka-dev ca-certificates python3-yaml
        has_node || printf '%s\n' nodejs npm
        ;;
    demo)
        packages_for build
        printf '%s\n' python3
        ;;
    bench)
        packages_for demo
        printf '%s\n' chromium fonts-dejavu-core
        ;;
    test)
        packages_for demo
        printf '%s\n' python3-pytest python3-venv python3-pymodbus python3-serial python3-serial-asyncio python3-requests python3-websocket \
            python3-jsonschema curl openssl groff-base mosquitto-clients mbpoll tshark chromium fonts-dejavu-core shellcheck
        ! has_format || packages_for format
        ;;
    fuzz)
        packages_for build
        printf '%s\n' "clang-$(clang_version)" "libclang-rt-$(clang_version)-dev"
        ;;
    format) echo "clang-format-$format_version" ;;
    *) return "$EXIT_USAGE" ;;
    esac
}

# Any Node.js from 18 on that brings npm will do, wherever it came from.
has_node() {
    local version
    version=$(node --version 2>/dev/null) || return 1
    version=${version#v}
    ((${version%%.*} >= 18)) && command -v npm >/dev/null
}

has_format() {
    [[ $(debian_version) == 12 ]] || command -v "clang-format-$format_version" >/dev/null
}

# missing_packages PACKAGE…: those not installed, one a line.
missing_packages() {
    local package status
    for package in "$@"; do
        # shellcheck disable=SC2016
        status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null) || status=
        [[ $status == *installed* && $status != *not-installed* ]] || echo "$package"
    done
}

# need COMMAND…: installs what the commands need. Returns at once if all is there.
need() {
    local command missing=()
    check_writable
    command -v dpkg-query >/dev/null || die "$EXIT_MISSING" \
        "this system is not Debian. Install the counterparts of: $(packages_of "$@")"
    command=$(packages_of "$@")
    # shellcheck disable=SC2086
    mapfile -t missing < <(missing_packages $command)
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# packages_of COMMAND…: all their packages on one line, each once.
packages_of() {
    local command
    for command in "$@"; do
        packages_for "$command"
    done | sort -u | tr '\n' ' '
}

install_packages() {
    local as_root=()
    if ((EUID != 0)); then
        read -ra as_root < <(find_sudo) || true
        ((${#as_root[@]} > 0)) || install_by_hand "no right to install Debian packages" "$@"
    fi
    step "Installing $# Debian packages: $*"
    apt_step "${as_root[@]}" apt-get -q update || install_by_hand "apt-get update failed" "$@"
    apt_step "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold -o APT::Status-Fd=1 \
        install --no-install-recommends "$@" || install_by_hand "apt-get install failed" "$@"
    local left
    left=$(missing_packages "$@" | tr '\n' ' ')
    [[ -z $left ]] || install_by_hand "apt-get did not install them" "$left"
}

# sudo, if it needs no password or there is a terminal to ask for one.
find_sudo() {
    command -v sudo >/dev/null || return 0
    if sudo -n true 2>/dev/null; then
        echo sudo -n
    elif [[ -t 0 && -t 2 ]]; then
        echo sudo
    fi
}

# install_by_hand WHY PACKAGE…
install_by_hand() {
    local why=$1 log=build/logs/apt.log
    shift
    [[ ! -s $log ]] || tail -n 5 "$log" >&2
    say "run: $why. Please install by hand, as root, then start again:"
    say ""
    say "    apt-get update && apt-get install --no-install-recommends $*"
    say ""
    exit "$EXIT_MISSING"
}

# Runs apt-get into a log and shows its progress.
apt_step() {
    mkdir -p build/logs
    "$@" </dev/null 2>&1 | tee build/logs/apt.log | apt_progress
}

# Turns apt's status lines (dlstatus or pmstatus:package:percent:text) into a line of progress:
# rewritten in place on a terminal, else one line per tenth.
apt_progress() {
    local kind percent text shown='' doing
    while IFS=: read -r kind _ percent text; do
        case $kind in
        dlstatus) doing=downloading ;;
        pmstatus) doing=installing ;;
        *) continue ;;
        esac
        percent=${percent%%.*}
        if [[ -t 2 ]]; then
            printf '\r\033[K    %s %3d %%  %.60s' "$doing" "$percent" "$text" >&2
        elif [[ $shown != "$doing$((percent / 10))" ]]; then
            shown=$doing$((percent / 10))
            say "    $doing $percent %"
        fi
    done
    if [[ -t 2 ]]; then
        printf '\r\033[K' >&2
    fi
}

cmd_deps() {
    help_wanted "usage: ./run deps [build] [demo] [test] [bench] [fuzz] [format] [peers]

Installs the Debian packages that the commands need (default: all but format), and with 'peers'
(or by default) downloads the servers of the tests and the demo into build/peers." "$@"
    local command commands=() peers=false
    (($# > 0)) || set -- build demo test bench fuzz peers
    for command in "$@"; do
        case $command in
        build | demo | test | bench | fuzz | format) commands+=("$command") ;;
        peers) peers=true ;;
        *) die "$EXIT_USAGE" "deps: '$command' has no packages. See ./run deps --help." ;;
        esac
    done
    ((${#commands[@]} == 0)) || need "${commands[@]}"
    ! $peers || need_peers mosquitto promtool prometheus rsyslogd
    say "All Debian packages are there."
}
