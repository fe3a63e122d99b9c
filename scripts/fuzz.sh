# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Fuzzing: every target in fuzz/ with libFuzzer, address and undefined-behaviour sanitizers.

cmd_fuzz() {
    help_wanted "usage: ./run fuzz [SECONDS [NAME…]]

Runs the fuzz target NAME (all of them without) for SECONDS each, 30 by default, starting from
fuzz/corpus/NAME. New inputs are kept in build/fuzz/found/NAME; an input that breaks a decoder lies
in build/fuzz/crash and belongs into the corpus once the fault is mended." "$@"
    local seconds=${1:-30}
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "$EXIT_USAGE" "fuzz: SECONDS is a number, not '$seconds'"
    shift $(($# > 0))
    need fuzz
    local name failed=() names=("$@")
    (($# > 0)) || mapfile -t names < <(fuzz_names)
    build_fuzz
    for name in "${names[@]}"; do
        [[ -x build/fuzz/fuzz/${name}_fuzz ]] || die "$EXIT_USAGE" "fuzz: no target '$name'"
    done
    mkdir -p build/fuzz/crash
    step "Fuzzing ${#names[@]} targets, $seconds s each, $(nproc) at a time"
    export seconds
    export -f fuzz_one
    mapfile -t failed < <(printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz_one {}')
    ((${#failed[@]} == 0)) || say "FAILED: ${failed[*]}"
    echo "$((${#names[@]} - ${#failed[@]})) passed, ${#failed[@]} failed"
    ((${#failed[@]} == 0))
}

# Every file is instrumented; only the targets bring libFuzzer's main.
build_fuzz() {
    CC=clang-$(clang_version) configure build/fuzz -Dfuzz=true --buildtype=debugoptimized \
        -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link
    compile build/fuzz fuzzers
}

fuzz_names() {
    find fuzz -maxdepth 1 -name '*_fuzz.c' -printf '%f\n' | sed 's/_fuzz\.c$//' | sort
}

# Runs one target; prints its name if it failed. A log of its own, as others run beside it.
fuzz_one() {
    local name=$1 found=build/fuzz/found/$1 log=build/logs/fuzz-$1.log
    mkdir -p "$found" build/logs
    if "build/fuzz/fuzz/${name}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/crash/$name-" "$found" \
        "fuzz/corpus/$name" >"$log" 2>&1; then
        printf '    %-24s %s inputs\n' "$name" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" >&2
    else
        tail -n 30 "$log" >&2
        echo "$name"
    fi
}
