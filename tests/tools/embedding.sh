#!/usr/bin/env bash
# Checks examples/README.md: each program of examples/run has a row in its
# table, and each block of code compiles.  A block begins with ```c WHAT or
# ```cpp WHAT, where WHAT is the package of pkg-config that it needs, or epoll
# or kqueue.  A block whose library is missing is named, and left out.
#
#     usage: tests/tools/embedding.sh
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
page=$root/examples/README.md
work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0
finding() {
    echo "examples/README.md: $*"
    failed=1
}

for name in $("$root/examples/run" --list | awk '{ print $1 }'); do
    grep -q "^| \`$name\` |" "$page" || finding "no row of the program $name"
done

awk -v dir="$work" '
    /^```/ && inside { inside = 0; close(file); next }
    /^```(c|cpp) / { inside = 1; file = dir "/" ++count "." $2 "." \
        substr($1, 4); printf "" >file; next }
    inside { print >file }' "$page"
compiled=0
for file in "$work"/*; do
    what=$(basename "$file")
    what=${what#*.}
    language=${what##*.} what=${what%.*}
    flags=(-fsyntax-only -Wall -Wextra -Werror -Wno-unused-parameter
        -D_POSIX_C_SOURCE=200809L "-I$root/include" "-I$root/examples")
    case $what in
    epoll) [ "$(uname -s)" = Linux ] || continue ;;
    kqueue) [ "$(uname -s)" != Linux ] ||
        flags+=("-I$root/tests/support/kqueue") ;;
    *)
        pkg-config --exists "$what" 2>/dev/null || {
            echo "left out: the block for $what, which is not installed"
            continue
        }
        # shellcheck disable=SC2207
        flags+=(-fPIC $(pkg-config --cflags "$what"))
        ;;
    esac
    if [ "$language" = c ]; then
        ${CC:-cc} -x c -std=c11 "${flags[@]}" "$file" >"$work/log" 2>&1
    else
        ${CXX:-c++} -x c++ -std=c++17 "${flags[@]}" "$file" >"$work/log" 2>&1
    fi || {
        cat "$work/log"
        finding "a block for $what does not compile"
    }
    compiled=$((compiled + 1))
done
[ $compiled -gt 0 ] || finding "no block was compiled"
echo "$compiled blocks compiled"
exit $failed
