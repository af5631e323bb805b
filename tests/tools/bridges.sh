#!/usr/bin/env bash
# Counts the lines of code of each bridge: those of its .c file that are neither
# empty nor only a comment.  A bridge is a file of examples/bridges, or of a
# folder there, that is not a program.  Fails if one has more than LIMIT lines,
# because a bridge is meant to be read and copied.
#
#     usage: tests/tools/bridges.sh [LIMIT]
set -u
limit=${1:-150}
failed=0
cd "$(dirname "${BASH_SOURCE[0]}")/../../examples/bridges" || exit 1
while read -r file; do
    name=${file##*/}
    name=${name%.c}
    lines=$(awk '
        {
            while (match($0, /\/\*([^*]|\*+[^*\/])*\*+\//))
                $0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
            if (inside && sub(/^.*\*\//, ""))
                inside = 0
            else if (inside)
                next
            if (sub(/\/\*.*/, ""))
                inside = 1
            count += /[^ ]/
        }
        END { print count + 0 }' "$file")
    echo "bridge $name: $lines lines of code [bar: at most $limit]"
    [ "$lines" -le "$limit" ] || failed=1
done < <(grep -L '^int main(' ./*.c ./*/*.c)
exit $failed
