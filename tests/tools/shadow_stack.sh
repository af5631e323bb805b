#!/usr/bin/env bash
# Sees to it that the context switch does not claim to be fit for the
# processor's shadow stack, which it leaves where it is: of the two marks of
# x86, the switch's object has that for branches, and not the other.
#
#     usage: tests/tools/shadow_stack.sh OBJECT...
set -u
export LC_ALL=C

command -v readelf >/dev/null || {
    echo "not found: readelf"
    exit 77
}
for object; do
    case $object in *context_*) ;; *) continue ;; esac
    marks=$(readelf -n "$object" | grep 'x86 feature:') || {
        echo "$object has no marks"
        exit 1
    }
    echo "$object: $marks"
    [[ $marks = *IBT* && $marks != *SHSTK* ]]
    exit
done
echo "no object of the context switch among $*"
exit 1
