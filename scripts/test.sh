# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# All tests, and the one line at the end that counts them.

readonly RESULTS=build/results

cmd_test() {
    help_wanted "usage: ./run test [checks] [unit] [whole] [storm]

Builds everything and runs the tests; all parts without arguments:
  checks  rules of the source: direction of includes, licence lines, layout, shell scripts
  unit    unit tests beside the code (Meson)
  whole   whole-program tests against real peers (pytest in tests/; PYTEST_ADDOPTS is heeded)
  storm   only when asked for: the fault storm with 100,000 crash points (a tenth of them are in unit),
          other ones each time; STORM_SEED=N for the same again

Recorded plant data is looked for in \$ISTHMUS_DATA, else in ../shared/data. The last line counts
all results; the exit code is 0 only if nothing failed." "$@"
    local part
    for part in "$@"; do
        [[ $part =~ ^(checks|unit|whole|storm)$ ]] || die "$EXIT_USAGE" "test: no part '$part'"
    done
    (($# > 0)) || set -- checks unit whole
    need test
    need_peers mosquitto promtool prometheus rsyslogd
    build_program
    rm -rf "$RESULTS"
    mkdir -p "$RESULTS"
    for part in "$@"; do
        "test_$part"
    done
    /usr/bin/python3 scripts/count_results.py "$RESULTS"
}

test_checks() {
    step "Checking the source"
    check includes-and-licences /usr/bin/python3 scripts/include_check.py
    check shell-scripts shellcheck -x -a run .ci/run scripts/bare_system.sh
    if has_format; then
        check layout format_files --dry-run -Werror
    else
        note_result layout skipped "clang-format-$format_version is not in this Debian"
    fi
}

# check NAME COMMAND…: one check, whose output is shown if it fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        note_result "$name" passed
    else
        say "$output"
        say "FAILED: $name"
        note_result "$name" failed
    fi
}

# note_result NAME passed|failed|skipped [WHY]: a result that no test runner writes.
note_result() {
    printf '%s %s %s\n' "$2" "$1" "${3:-}" >>"$RESULTS/checks.txt"
    [[ $2 != skipped ]] || say "skipped: $1: $3"
}

test_unit() {
    step "Running the unit tests"
    meson test -C build --no-rebuild --print-errorlogs --timeout-multiplier 3 >&2 || true
    cp build/meson-logs/testlog.junit.xml "$RESULTS/unit.xml" || note_result unit failed
}

test_storm() {
    step "The fault storm"
    local result=failed
    build/tests/storm/storm --points 100000 --jobs "$(nproc)" --seed "${STORM_SEED:-$RANDOM$RANDOM}" >&2 && result=passed
    note_result fault-storm "$result"
}

# Debian's Python, for whose packages we asked, and not another that may come first on the path.
# Its exit code is 1 if tests failed, which the results tell as well; any other is an accident.
test_whole() {
    local status=0
    npm_install tests/peers
    pip_install tests/peers
    step "Running the whole-program tests"
    PYTHONUNBUFFERED=1 ISTHMUS_BUILD="${ISTHMUS_BUILD:-$PWD/build}" /usr/bin/python3 -m pytest tests \
        --junit-xml="$RESULTS/whole.xml" >&2 || status=$?
    ((status <= 1)) || note_result whole-program-tests failed
}
