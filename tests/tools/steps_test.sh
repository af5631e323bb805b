#!/usr/bin/env bash
# Checks that steps.sh counts every kind of failure as a failure.
#
#     usage: tests/tools/steps_test.sh
set -u
steps_dir=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
step_limit_s=60 whole_limit_s=1000
. "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"
. "$root/tests/tools/figures.sh"
. "$root/tests/tools/steps.sh"
trap 'rm -rf "$steps_dir"' EXIT
if ! command -v timeout >/dev/null; then
    echo "not found: timeout; the steps are not tested"
    exit 77
fi
wrong=0

# Checks the total counts of all steps so far.
is_now() { # PASSED FAILED SKIPPED WHAT
    local now="$total_passed $total_failed $total_skipped"
    [ "$now" = "$1 $2 $3" ] && return
    echo "$4: $now, not $1 $2 $3"
    wrong=1
}

# Checks that the report of the last step contains a text.
reports() { # EXPRESSION
    grep -q "$1" "$steps_dir/said" && return
    echo "the report does not contain '$1':"
    cat "$steps_dir/said"
    wrong=1
}

# Runs a command as a step.
try() { # COMMAND
    check "a step" bash -c "$1" >"$steps_dir/said"
}

try 'echo 3 passed, 0 failed, 1 skipped'
is_now 3 0 1 "a step that passes"
try 'echo 3 passed, 2 failed, 0 skipped; exit 1'
is_now 6 2 1 "a step with failures"
try 'echo all is well'
is_now 6 3 1 "no line that counts"
try 'echo 1 passed, 0 failed, 0 skipped; echo more'
is_now 6 4 1 "a line that counts and is not the last"
try 'echo 0 passed, 0 failed, 4 skipped'
is_now 6 5 5 "no test that ran"
try 'echo 1 passed, 0 failed, 0 skipped; exit 1'
is_now 7 6 5 "an exit status that does not fit"
step_limit_s=1
try 'echo begun; sleep 20; echo 1 passed, 0 failed, 0 skipped'
is_now 7 7 5 "a step that takes too long"
reports 'stopped after 1 s'
step_limit_s=60
beside "beside" bash -c 'echo 1 passed, 1 failed, 0 skipped; exit 1'
try 'echo 1 passed, 0 failed, 0 skipped'
is_now 8 7 5 "a step beside another"
settle >"$steps_dir/said"
is_now 9 8 5 "the step that ran beside it"
beside "first" bash -c "sleep 2; touch '$steps_dir/first'
    echo 1 passed, 0 failed, 0 skipped"
beside "second" bash -c "[ -e '$steps_dir/first' ] &&
    echo 1 passed, 0 failed, 0 skipped"
settle >"$steps_dir/said"
is_now 11 8 5 "two steps beside others, one after the other"
! conclude_steps >"$steps_dir/said" || wrong=1
reports '^11 passed, 8 failed, 5 skipped$'

SECONDS=$whole_limit_s
try 'echo 1 passed, 0 failed, 0 skipped'
is_now 11 9 5 "a step that cannot start"
reports '^a step ... not started'
conclude_steps >"$steps_dir/said"
reports '^a step (not started) '
[ $wrong = 0 ] && echo "steps: every failure was counted"
exit $wrong
