# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The layout of the C code.

cmd_format() {
    help_wanted "usage: ./run format [--check]

Lays out all C files with clang-format $format_version; with --check only says what it would change." "$@"
    has_format || die "$EXIT_MISSING" "the layout is that of clang-format-$format_version, which Debian 13 lacks"
    need format
    case ${1:-} in
    '') format_files -i ;;
    --check) format_files --dry-run -Werror ;;
    *) die "$EXIT_USAGE" "format: unknown argument '$1'" ;;
    esac
}

# format_files OPTION…
format_files() {
    c_files | xargs -0 "clang-format-$format_version" "$@"
}

# All our C files, separated by NUL; in a tree without git too.
c_files() {
    local folders=() folder
    for folder in src include fuzz bench tests examples; do
        [[ ! -d $folder ]] || folders+=("$folder")
    done
    find "${folders[@]}" -name node_modules -prune -o -name '*.[ch]' -type f -print0
}
