# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What every command needs: messages, failing, and running a step into a log file. Messages go to
# stderr, so that stdout carries results only.

# shellcheck disable=SC2034  # the other scripts use them
readonly EXIT_FAILED=1 EXIT_USAGE=2 EXIT_MISSING=3
export PYTHONDONTWRITEBYTECODE=1

say() {
    printf '%s\n' "$*" >&2
}

# Announces a step.
step() {
    if [[ -t 2 ]]; then
        printf '\033[1m==> %s\033[0m\n' "$*" >&2
    else
        printf '==> %s\n' "$*" >&2
    fi
}

# die CODE MESSAGE…: the last words of a command.
die() {
    local code=$1
    shift
    say "run: $*"
    exit "$code"
}

# Ends the command with its help if the first argument asks for it.
# usage: help_wanted "$help" "$@"
help_wanted() {
    case ${2:-} in
    -h | --help) printf '%s\n' "$1" && exit 0 ;;
    esac
}

# quietly LOG COMMAND…: runs COMMAND with its output in build/logs/LOG; shows the end of it on failure.
quietly() {
    local log=build/logs/$1 status=0
    shift
    mkdir -p build/logs
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status != 0)); then
        tail -n 40 "$log" >&2
        say "run: failed (exit code $status): $*"
        say "run: the whole output is in $log"
    fi
    return "$status"
}

# Everything is made below build/; one made by another user (root) would only give strange errors.
check_writable() {
    if [[ ! -w . || (-e build && ! -w build) ]]; then
        die "$EXIT_FAILED" "$PWD is not writable for $(id -un). Use a clone of your own."
    fi
}
