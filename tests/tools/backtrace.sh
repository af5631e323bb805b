#!/usr/bin/env bash
# backtrace.sh PROGRAM BREAKPOINT ENTRY_FUNCTION
#
# Runs PROGRAM in gdb up to BREAKPOINT, a place inside a task, and checks that
# the backtrace is whole: no unknown frame, no complaint of gdb's, and its last
# frame is ENTRY_FUNCTION.  Exits with 0 if it is, 1 if not, 77 if there is no
# gdb here or it is not allowed to run programs.
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

# No user's settings, no questions, no downloads of debugging information; and
# no demangling: without debugging information gdb takes a__b for Ada's a.b.
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
    fail "gdb finds fault with the stack"
fi
# "#4  0x0000... in name () at ..." or "#4  name () at ...".
grep -qE "^#[0-9]+ +(0x[0-9a-f]+ in )?${entry} \(" <<<"$last" ||
    fail "the last frame is not $entry"

printf '%s\n' "$trace"
