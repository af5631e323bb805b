#!/usr/bin/env bash
# Builds the benchmark in a build directory, prints how long it takes, and
# prints its table.
#
#     usage: tests/bench/run.sh BUILD-DIRECTORY [--quick] [TEXT]
#
# It is called by tests/run --bench, which makes a Release build.
set -eu

if [ $# -lt 1 ] || [ ! -e "$1/CMakeCache.txt" ]; then
    echo "usage: tests/bench/run.sh BUILD-DIRECTORY [--quick] [TEXT]" >&2
    exit 2
fi
dir=$1
shift
if ! grep -q '^CMAKE_BUILD_TYPE:.*=Release' "$dir/CMakeCache.txt"; then
    echo "tests/bench/run.sh: $dir is not a Release build, so" \
        "assertions are measured, too" >&2
fi
cmake --build "$dir" --target aloop_bench >/dev/null
takes="about three minutes"
for argument; do
    case $argument in
    --quick) takes="about half a minute" ;;
    --only | [!-]*) takes="as long as its part of the table" && break ;;
    esac
done
echo "The benchmark takes $takes, on an otherwise idle machine."
exec "$dir/tests/bench/aloop_bench" "$@"
