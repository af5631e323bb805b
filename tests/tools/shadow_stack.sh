#!/usr/bin/env bash
# Checks that the context switch does not claim to support the processor's
# shadow stack, because it does not switch the shadow stack.  Of the two
# properties that x86 objects can have, the object of the switch has IBT
# (branches) but not SHSTK (shadow stack).
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
        echo "$object has no x86 properties"
        exit 1
    }
    echo "$object: $marks"
    [[ $marks = *IBT* && $marks != *SHSTK* ]]
    exit
done
echo "there is no object of the context switch among $*"
exit 1
