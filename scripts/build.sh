# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Building with Meson: the program itself in build/, other kinds of build in folders below it.

cmd_build() {
    help_wanted "usage: ./run build

Builds the program, optimised, in build/. Other kinds of build: configure build/ yourself with
'meson setup build --buildtype=…' first; it is kept." "$@"
    (($# == 0)) || die "$EXIT_USAGE" "build takes no arguments"
    need build
    build_program
    say "The program is build/isthmus."
}

build_program() {
    npm_install console
    configure build --buildtype=release
    compile build
}

# configure FOLDER OPTION…: sets FOLDER up unless it is already.
configure() {
    local folder=$1
    shift
    [[ ! -f $folder/build.ninja ]] || return 0
    step "Configuring $folder"
    quietly "meson-${folder//\//-}.log" meson setup "$folder" "$@"
}

# compile FOLDER TARGET…
compile() {
    local folder=$1 quiet=(--quiet)
    shift
    step "Building ${*:-everything} in $folder"
    [[ ! -t 1 ]] || quiet=()
    ninja -C "$folder" "${quiet[@]}" "$@" >&2
}
