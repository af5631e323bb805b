#!/usr/bin/env bash
# Checks that gdb shows the complete backtrace of a task.
#
#     usage: backtrace.sh PROGRAM BREAKPOINT ENTRY_FUNCTION
#
# Runs PROGRAM in gdb up to BREAKPOINT, which is inside a task.  The backtrace
# must have no unknown frame and no warning of gdb, and its last frame must be
# ENTRY_FUNCTION.  Exits with 0 if this is the case, with 1 if not, and with 77
# if gdb is not installed or not allowed to run programs.
set -euo pipefail

if [ $# -ne 3 ]; then
    echo "usage: $0 PROGRAM BREAKPOINT ENTRY_FUNCTION" >&2
    exit 2
fi
program=$1 breakpoint=$2 entry=$3

if ! command -v gdb >/dev/null; then
    echo "skipped: gdb is not installed" >&2
    exit 77
fi

# gdb must not read the user's settings, ask questions or download debugging
# information.  It must not demangle either: without debugging information it
# takes a__b for the Ada name a.b.
output=$(gdb -nx -batch \
    -ex 'set debuginfod enabled off' \
    -ex 'set confirm off' \
    -ex 'set width 0' \
    -ex 'set print demangle off' \
    -ex "break $breakpoint" \
    -ex 'run' \
    -ex 'echo --- backtrace ---\n' \
    -ex 'backtrace' \
    -ex 'echo --- end ---\n' \
    -ex 'kill' \
    "$program" 2>&1 </dev/null) || true

fail() {
    printf '%s\n--- failed: %s\n' "$output" "$1" >&2
    exit 1
}

if grep -qE 'ptrace: Operation not permitted|Could not trace' <<<"$output"; then
    echo "skipped: gdb may not run programs here" >&2
    exit 77
fi

trace=$(sed -n '/^--- backtrace ---$/,/^--- end ---$/p' <<<"$output" |
    sed '1d;$d')
last=$(grep -E '^#[0-9]+ ' <<<"$trace" | tail -n 1 || true)

grep -q '^Breakpoint 1, ' <<<"$output" || fail "$breakpoint was not reached"
[ -n "$last" ] || fail "there is no backtrace"
if grep -qE '(^|[[:space:]])\?\?' <<<"$trace"; then
    fail "there is an unknown frame"
fi
if grep -qiE 'corrupt|previous frame|cannot access' <<<"$trace"; then
    fail "gdb reports a damaged stack"
fi
# The line is "#4  0x0000... in name () at ..." or "#4  name () at ...".
grep -qE "^#[0-9]+ +(0x[0-9a-f]+ in )?${entry} \(" <<<"$last" ||
    fail "the last frame is not $entry"

printf '%s\n' "$trace"
