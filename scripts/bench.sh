# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Measuring. The names and figures to reach are in docs/performance.md.

cmd_bench() {
    help_wanted "usage: ./run bench [NAME…] [--json] [--list] [--runs N]

Builds the program, optimised, and measures. NAME is a benchmark's name, a glob, or a group such as
'path'; all of them without. --json prints {NAME: {median, min, max, unit, runs}} on stdout." "$@"
    need bench
    need_peers mosquitto
    build_program
    npm_install tests/peers
    step "Measuring"
    ISTHMUS_BUILD=$PWD/build /usr/bin/python3 bench/run.py "$@"
}
