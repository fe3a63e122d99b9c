# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Measuring. The names and figures to reach are in docs/performance.md.

cmd_bench() {
    help_wanted "usage: ./run bench [NAME…] [--json] [--list] [--runs N]
       ./run bench peers [SET…] [--peer NAME] [--json]

Builds the program, optimised, and measures. NAME is a benchmark's name, a glob, or a group such as
'path'; all of them without. --json prints {NAME: {median, min, max, unit, runs}} on stdout.

'peers' puts the same data into Isthmus and into VictoriaMetrics, InfluxDB, DuckDB, SQLite and PostgreSQL, one after
another: bytes a sample on disk, whether it is lossless, how long the mean of all tags takes. Servers
are unpacked into build/peers, listen on loopback and end with the run. SET: regular, jitter,
waterworks, skab, nab (recordings: \$ISTHMUS_DATA, else ../shared/data)." "$@"
    need bench
    need_peers mosquitto
    build_program
    npm_install tests/peers
    if [[ ${1:-} == peers ]]; then
        shift
        bench_peers "$@"
        return
    fi
    step "Measuring"
    ISTHMUS_BUILD=$PWD/build /usr/bin/python3 bench/run.py "$@"
}

# A peer that can't be had is left out, aloud.
bench_peers() {
    local name
    for name in victoria-metrics influxd postgres initdb psql; do
        (need_peers "$name") || say "left out: $name"
    done
    step "Measuring, one peer after another"
    ISTHMUS_BUILD=$PWD/build /usr/bin/python3 bench/peers_run.py "$@"
}
