#!/usr/bin/env bash
# Checks that every C file is formatted as .clang-format demands, or formats it.
# Prints FILE:LINE: for each place that differs.  Exits with 77 if there is no
# clang-format 14: other versions format differently.
#
#     usage: tests/tools/format.sh [--fix]
set -u
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

case ${1:-} in
'') action=(-n -Werror --ferror-limit=0) ;;
--fix) action=(-i) ;;
*)
    echo "usage: tests/tools/format.sh [--fix]" >&2
    exit 2
    ;;
esac

for program in clang-format-14 clang-format; do
    version=$("$program" --version 2>/dev/null |
        sed -n 's/.*version \(14\.[0-9.]*\).*/\1/p')
    [ -z "$version" ] || break
done
if [ -z "$version" ]; then
    echo "not found: clang-format 14; the format is not checked"
    exit 77
fi

# The text of tests/programs is fixed.
files=$(find src include examples tests -name '*.[ch]' |
    grep -v '^tests/programs/' | sort)
found=$(xargs "$program" --style=file "${action[@]}" <<<"$files" 2>&1 |
    sed -nE 's/^([^ ]+:[0-9]+):[0-9]+: error: .*/\1: is not formatted/p
        /^[^ ]*(:[0-9]+)*: error: |^clang-format|^Invalid|^[Ee]rror/p' |
    sort -u -t : -k 1,1 -k 2,2n)
[ -z "$found" ] || printf '%s\n' "$found"
echo "clang-format $version: $(wc -l <<<"$files") files," \
    "$(printf '%s' "$found" | grep -c '') findings"
[ -z "$found" ]
