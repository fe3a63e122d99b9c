# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

cmd_clean() {
    help_wanted "usage: ./run clean

Removes build/ and the npm packages inside the project. Installed Debian packages stay." "$@"
    (($# == 0)) || die "$EXIT_USAGE" "clean takes no arguments"
    rm -rf build console/node_modules tests/peers/node_modules
}
