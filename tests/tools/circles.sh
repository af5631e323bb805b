#!/usr/bin/env bash
# Checks that the files of a layer, a folder of src, form no circle: no group of
# more than two of its object files in which each one uses symbols of the others
# that define them, directly or through others of the group.  Prints each group
# with the symbols by which its files use each other, and fails if there is one.
#
#     usage: tests/tools/circles.sh NM BUILD-DIRECTORY
#            tests/tools/circles.sh -      # Reads what `nm -A -P` has printed.
set -u
export LC_ALL=C

if [ "${1:-}" != - ] && { [ $# != 2 ] || [ ! -d "$2/CMakeFiles" ]; }; then
    echo "usage: tests/tools/circles.sh NM BUILD-DIRECTORY" >&2
    exit 2
fi

# Prints FILE: SYMBOL TYPE, for each symbol of the objects of the library.
list_symbols() {
    if [ "$1" = - ]; then
        cat
    else
        find "$2/CMakeFiles" -path '*/src/*' -name '*.c.o*' -print0 |
            xargs -0 "$1" -A -P
    fi
}

list_symbols "$@" | awk '
    # Everything that `from` reaches inside its layer.
    function visit(start, from, used, list, count, i) {
        count = split(uses[from], list, " ")
        for (i = 1; i <= count; i++) {
            used = list[i]
            if (!((start, used) in reaches)) {
                reaches[start, used] = 1
                visit(start, used)
            }
        }
    }

    # Prints the group of a file, unless it was printed.
    function check_group(file, other, size, edge, part) {
        if (file in is_printed || !((file, file) in reaches))
            return
        for (other in is_file)
            if ((file, other) in reaches && (other, file) in reaches) {
                group[other] = file
                is_printed[other] = 1
                size++
            }
        if (size <= 2)
            return
        groups++
        printf "%s:1: is in a circle of %d files of its layer\n", file, size
        for (edge in symbols) {
            split(edge, part, SUBSEP)
            if (group[part[1]] == file && group[part[2]] == file)
                print "    " part[1] " -> " part[2] ":" symbols[edge] | "sort"
        }
        close("sort")
    }

    {
        file = $1
        if (!sub(/^.*\/src\//, "src/", file))
            next
        sub(/\.o(bj)?(\[.*)?:$/, "", file)
        if (!(file in is_file)) {
            is_file[file] = 1
            order[++files] = file
        }
        if ($3 == "U")
            wanted[++count] = file " " $2
        else if ($3 ~ /^[A-Z]$/)
            definer[$2] = file
    }

    END {
        for (i = 1; i <= count; i++) {
            split(wanted[i], part, " ")
            from = part[1]
            to = definer[part[2]]
            split(from, from_part, "/")
            split(to, to_part, "/")
            if (to == "" || to == from || from_part[2] != to_part[2])
                continue
            if (!((from, to) in symbols))
                uses[from] = uses[from] " " to
            symbols[from, to] = symbols[from, to] " " part[2]
        }
        for (i = 1; i <= files; i++)
            visit(order[i], order[i])
        for (i = 1; i <= files; i++)
            check_group(order[i])
        if (!files) {
            print "circles: no objects were found"
            exit 1
        }
        printf "circles: %d files, %d groups of more than two\n", files, groups
        exit groups > 0
    }'
