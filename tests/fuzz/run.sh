#!/usr/bin/env bash
# Fuzzes every target for a limited number of executions, two at a time.
#
#     usage: tests/fuzz/run.sh BUILD [EXECUTIONS [TARGET...]]
#
# BUILD was made with ALOOP_FUZZ.  EXECUTIONS (1,000,000) is the number for the
# target "machine"; the others get fewer, in the proportions of the table.
# Fuzzing begins with the kept inputs and does not change them.  New inputs,
# including those that crash, are stored below BUILD/fuzz.  The last line counts
# targets.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The number of executions and the longest input of each target.
table='
machine     1000000 200
address       50000 128
graph        100000 256
http_body     50000 1024
http_head     50000 1024
http_session  50000 1024
httpd         50000 1024
options       50000 256
until         50000 256
url           50000 512
websocket     50000 512
'

[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
build=$(cd "$1" && pwd) || exit 2
executions=${2:-1000000}
[[ $executions =~ ^[1-9][0-9]*$ ]] ||
    { echo "run.sh: $executions is not a number" >&2; exit 2; }
targets=("${@:3}")
programs=$build/tests/fuzz
work=$build/fuzz

# NAME PATTERN: the value that libFuzzer reports last.
last() {
    sed -nE "s/$2/\1/p" "$work/$1/log" | tail -n 1
}

one() { # NAME EXECUTIONS LENGTH
    local name=$1 dir=$work/$1 start=$SECONDS result ran edges crashes=0 input
    local kept=$here/corpora/$name.corpus dict=()
    rm -rf "$dir"
    mkdir -p "$dir/corpus" "$dir/crashes"
    if [ -f "$kept" ] &&
        ! "$programs/replay_$name" --unpack "$dir/corpus" "$kept"; then
        echo "fuzz $name: cannot read $kept"
        return
    fi
    [ ! -f "$here/$name.dict" ] || dict=("-dict=$here/$name.dict")
    "$programs/fuzz_$name" "${dict[@]}" -runs="$2" -max_len="$3" \
        -seed=1 -entropic=0 \
        -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$dir/crashes/" "$dir/corpus" \
        >"$dir/log" 2>&1 </dev/null
    result=$?
    ran=$(last "$name" '^stat::number_of_executed_units: *([0-9]+)')
    edges=$(last "$name" '^#[0-9].* cov: ([0-9]+).*')
    [ $result = 0 ] || crashes=1
    printf 'fuzz %s: %s executions, %s crashes, %s edges, %s s\n' "$name" \
        "${ran:-0}" $crashes "${edges:-0}" $((SECONDS - start))
    [ $result != 0 ] || { touch "$dir/passed"; return; }
    grep -E 'does not hold|^there came|ERROR|runtime error|^SUMMARY' \
        "$dir/log" | head -n 5
    input=$(find "$dir/crashes" -type f | head -n 1)
    if [ -n "$input" ]; then
        echo "to repeat it: $programs/replay_$name --trace $input"
    else
        tail -n 20 "$dir/log"
    fi
}

passed=0 failed=0 skipped=0 names=()
if [ ${#targets[@]} = 0 ]; then
    # In the order of the table, the longest first; then other targets.
    for name in $(awk '{ print $1 }' <<<"$table") "$programs"/fuzz_*; do
        name=${name##*/fuzz_}
        [[ " ${targets[*]-} " = *" $name "* ]] ||
            [ ! -x "$programs/fuzz_$name" ] || targets+=("$name")
    done
fi
mkdir -p "$work" || exit 1
for name in "${targets[@]}"; do
    read -r _ count length < <(grep "^$name " <<<"$table" ||
        echo "$name 50000 512")
    count=$((count * executions / 1000000))
    [ "$count" -gt 0 ] || count=1
    if [ ! -x "$programs/fuzz_$name" ]; then
        echo "fuzz $name: was not built"
        skipped=$((skipped + 1))
        continue
    fi
    names+=("$name")
    while [ "$(jobs -pr | wc -l)" -ge 2 ]; do
        wait -n
    done
    one "$name" "$count" "$length" &
done
wait
for name in "${names[@]}"; do
    if [ -e "$work/$name/passed" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
