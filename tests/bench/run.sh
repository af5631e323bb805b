#!/usr/bin/env bash
# Builds the benchmark in a build directory, prints how long it takes, and
# prints its table.  Before the table come the user instructions and system
# calls of a message, which are exact, and work with many members.
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
for target in aloop_bench aloop_growth aloop_messages; do
    cmake --build "$dir" --target $target >/dev/null
done
takes="a quarter of an hour" text=
for argument; do
    case $argument in
    --quick) takes="some minutes" ;;
    --only) ;;
    [!-]*) takes="as long as its part of the table" text=$argument ;;
    esac
done
echo "The benchmark takes $takes, on an otherwise idle machine."
case "user instructions and system calls per message" in
*"$text"*)
    if command -v valgrind >/dev/null; then
        bash "$(dirname "$0")/messages.sh" "$dir"
    else
        echo "valgrind was not found; no instructions are counted."
    fi
    ;;
esac
case "work with 1 k to 1 M members" in
*"$text"*) bash "$(dirname "$0")/members.sh" "$dir" ;;
esac
exec "$dir/tests/bench/aloop_bench" "$@"
