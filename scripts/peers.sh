# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Servers that tests and demo start themselves. Their Debian packages would start a service when
# installed, so they are downloaded with apt's own client, which verifies their signatures as ever,
# from an apt configuration inside build/peers that reads the system's sources and writes nothing
# outside; then unpacked into build/peers/root. build/peers/bin/NAME starts one.

readonly PEERS=build/peers

# peer_program NAME: its package, the program inside that package, and a file without which it is
# of no use.
peer_program() {
    case $1 in
    mosquitto) echo mosquitto usr/sbin/mosquitto ;;
    promtool) echo prometheus usr/bin/promtool ;;
    prometheus) echo prometheus usr/bin/prometheus ;;
    victoria-metrics) echo victoria-metrics usr/bin/victoria-metrics ;;
    influxd) echo influxdb usr/bin/influxd ;;
    rsyslogd) echo rsyslog-openssl usr/sbin/rsyslogd "usr/lib/$(peer_triplet)/rsyslog/lmnsd_ossl.so" ;;
    postgres | initdb | psql) echo "postgresql usr/lib/postgresql/$(postgresql_version)/bin/$1" ;;
    *) return 1 ;;
    esac
}

postgresql_version() {
    case $(debian_version) in
    12) echo 15 ;;
    *) echo 17 ;;
    esac
}

# need_peers NAME…: downloads those that are not there or no longer start.
need_peers() {
    local name package program beside packages=()
    for name in "$@"; do
        read -r package program beside < <(peer_program "$name")
        peer_complete "$program" "$beside" || packages+=("$package")
    done
    if ((${#packages[@]} > 0)); then
        step "Downloading into build/peers: ${packages[*]}"
        peer_fetch "${packages[@]}" || peers_by_hand "${packages[*]}" "$@"
    fi
    for name in "$@"; do
        read -r package program _ < <(peer_program "$name")
        peer_wrapper "$name" "$program"
    done
}

# All shared libraries of the program are found, and the file beside it. A static program has none, to
# which ldd says no.
peer_complete() {
    local file
    file=$(peer_file "$1") || return 1
    [[ -z ${2:-} || -e ${file%"$1"}$2 ]] || return 1
    ! LD_LIBRARY_PATH=$(peer_libraries) ldd "$file" 2>/dev/null | grep -q 'not found'
}

# The program as unpacked, else as the system has it installed.
peer_file() {
    local file
    for file in "$PWD/$PEERS/root/$1" "/$1"; do
        [[ ! -x $file ]] || { echo "$file" && return; }
    done
    return 1
}

peer_triplet() {
    gcc -print-multiarch 2>/dev/null || echo "$(uname -m)-linux-gnu"
}

peer_libraries() {
    local triplet root=$PWD/$PEERS/root
    triplet=$(peer_triplet)
    echo "$root/usr/lib/$triplet:$root/lib/$triplet"
}

# Writes build/peers/bin/NAME. It ends in exec: its process id is the server's.
peer_wrapper() {
    local file
    mkdir -p "$PEERS/bin"
    file=$(peer_file "$2")
    cat >"$PEERS/bin/$1.new" <<END
#!/bin/sh
# Made by ./run: starts $1 with the libraries that came with it.
LD_LIBRARY_PATH='$(peer_libraries)'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec '$file' "\$@"
END
    chmod +x "$PEERS/bin/$1.new"
    mv "$PEERS/bin/$1.new" "$PEERS/bin/$1"
}

# peer_apt FOLDER ARGUMENT…: apt-get or apt-cache with all its state in FOLDER. The hooks that
# packages put into the system's configuration are for the system's own cache, not for ours.
peer_apt() {
    local folder=$PWD/$1 program=$2
    shift 2
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    cat >"$folder/apt.conf" <<END
Dir::State::lists "$folder/lists";
Dir::State::extended_states "$folder/extended_states";
Dir::Cache "$folder/cache";
Dir::Log "$folder";
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Get::Remove "false";
Acquire::Languages "none";
Debug::NoLocking "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
END
    if [[ -f $folder/sources.list ]]; then
        echo "Dir::Etc::sourcelist \"$folder/sources.list\";" >>"$folder/apt.conf"
    fi
    "$program" -c "$folder/apt.conf" "$@"
}

# peer_fetch PACKAGE…: downloads the packages and what they depend on that the system lacks, and
# unpacks them. A source of the system that fails is no error as long as the packages are found.
peer_fetch() {
    local folder=$PEERS/apt
    quietly peers-update.log peer_apt "$folder" apt-get -q update || true
    peer_unpack "$folder" "$@"
}

# peer_from_suite SUITE PACKAGE…: the same with packages from another suite of Debian (those that
# Debian 12 lacks and 13 has), from the archive that the system itself uses.
peer_from_suite() {
    local suite=$1 folder=$PEERS/apt-$1
    shift
    mkdir -p "$folder"
    peer_apt "$PEERS/apt" apt-get -q update >/dev/null 2>&1 || true
    peer_suite_sources "$suite" >"$folder/sources.list"
    quietly "peers-update-$suite.log" peer_apt "$folder" apt-get -q update || return 1
    peer_unpack "$folder" "${@/%//$suite}"
}

# The system's own Debian archive (and its security archive) with another suite's name.
peer_suite_sources() {
    local suite=$1 uri release keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # shellcheck disable=SC2016
    peer_apt "$PEERS/apt" apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
        'Created-By: Packages' 'Origin: Debian' 'Component: main' | sort -u |
        while read -r uri release; do
            case $release in
            *-updates | *-backports*) continue ;;
            *-security) release=$suite-security ;;
            *) release=$suite ;;
            esac
            echo "deb [signed-by=$keyring] $uri $release main"
        done
}

# peer_unpack FOLDER PACKAGE…
peer_unpack() {
    local folder=$1 archive
    shift
    rm -f "$folder"/cache/archives/*.deb
    quietly peers-download.log peer_apt "$folder" apt-get -q install --download-only "$@" ||
        return 1
    mkdir -p "$PEERS/root"
    for archive in "$folder"/cache/archives/*.deb; do
        dpkg-deb -x "$archive" "$PEERS/root" || return 1
    done
    rm -f "$folder"/cache/archives/*.deb
}

# peers_by_hand PACKAGES NAME…
peers_by_hand() {
    local wanted=$1 names
    shift
    names=$*
    say "run: could not download the Debian packages: $wanted."
    say "They are not installed, because that would start a service, but unpacked into build/peers."
    say "Without a network, either install them by hand as root and disable their services:"
    say ""
    say "    apt-get update && apt-get install --no-install-recommends $wanted"
    say ""
    say "or put executables named ${names// /, } into build/peers/root/usr/bin or usr/sbin."
    exit "$EXIT_MISSING"
}
