#!/usr/bin/env bash
# Lets spin search every interleaving of the wake-up protocol: the order in
# src/loop/wake.c must hold, and every other order must fail.  The order is read
# from the source.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
model=$here/wakeup.pml
source=$here/../../src/loop/wake.c
for tool in spin "${CC:-cc}"; do
    command -v "$tool" >/dev/null || {
        echo "not found: $tool; the model is not checked"
        exit 77
    }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1

failed=0 held=0 broken=0

fail() { # WHAT: also prints the output of spin.
    echo "failed: $1"
    tail -n 40 log
    failed=1
}

# Searches the whole model.  The output of spin goes to the file log.
search() { # DEFINE...
    rm -f pan pan.* wakeup.pml.trail log
    cp "$model" wakeup.pml
    {
        spin -a "$@" wakeup.pml &&
            "${CC:-cc}" -w "${level:--O2}" -DSAFETY -DMEMLIM=1000 \
                -o pan pan.c &&
            timeout 60 ./pan -m10000
    } >log 2>&1
}

states() { awk '/states, stored/ { print $1 }' log; }

holds() { # NAME DEFINE...
    local name=$1
    shift
    if search "$@" && grep -q 'errors: 0$' log &&
        ! grep -qiE 'not completed|depth too small' log; then
        echo "$name: holds, in $(states) states"
        held=$((held + 1))
    else
        fail "$name does not hold"
    fi
}

# The loop must sleep indefinitely, or fail with $error.  No other failure
# counts.  It is found so early that optimisation takes longer.
breaks() { # NAME DEFINE...
    local name=$1 error=${error:-invalid end state}
    shift
    level=-O0 search "$@"
    if grep -q "$error" log && [ -s wakeup.pml.trail ]; then
        spin -t "$@" wakeup.pml >trail 2>&1
        echo "$name: fails as expected, after" \
            "$(awk '/^spin: trail ends/ { print $5 }' trail) steps"
        broken=$((broken + 1))
    else
        fail "$name was not shown to fail"
    fi
}

order() { # STEP STEP STEP: prints the defines.
    echo "-DSTEP1=$1 -DSTEP2=$2 -DSTEP3=$3"
}

# Prints the steps that a function of the source takes, in order.
steps_of() { # FUNCTION
    awk -v name="$1" '
        index($0, name "(") && !/;|^[ \/]\*/ { inside = 1 }
        /^}/ { inside = 0 }
        !inside { next }
        /aloop__sys_wake_drain\(/ { print "drain" }
        /atomic_store\(&loop->is_waking, false\)/ { print "clear" }
        / take\(|\(take\(/ { print "take" }
        /aloop__wake_hooks_run\(loop\);/ { print "take" }
        /atomic_compare_exchange_weak\(&loop->posts,/ { print "push" }
        /while \(post->next != NULL\)/ { print "full" }
        /if \(next == NULL\)/ { print "empty" }
        / aloop_wake\(loop\);/ { print "wake" }
        / wait_and_dispatch\(loop,/ { print "wait" }' "$source" | xargs
}

has_steps() { # FUNCTION STEPS
    [ "$(steps_of "$1")" = "$2" ] ||
        fail "$1() does \"$(steps_of "$1")\", not \"$2\""
}

: >log
has_steps wake_received "drain clear take"
source=$here/../../src/loop/post.c has_steps posts_woken "take"
source=$here/../../src/loop/post.c has_steps try_push "full push"
source=$here/../../src/loop/post.c has_steps push_and_wake "push empty wake"
source=$here/../../src/loop/turn.c has_steps run_turn "take wait"
right=$(order drain clear take)
holds "drain, clear, take: 2 threads, 3 posts each" $right -DPOSTS=3
holds "drain, clear, take: 3 threads, 1 post each" \
    $right -DTHREADS=3 -DPOSTS=1
holds "an event per write: 3 threads, 1 post each" \
    $right -DEDGE -DTHREADS=3 -DPOSTS=1
holds "an event per write, and one more" $right -DEDGE -DRENEWAL
breaks "drain, take, clear" $(order drain take clear)
breaks "take, drain, clear" $(order take drain clear)
breaks "take, clear, drain" $(order take clear drain)
breaks "clear, drain, take" $(order clear drain take)
breaks "clear, take, drain" $(order clear take drain)
breaks "an event per write: take, clear" $(order drain take clear) -DEDGE
breaks "waking before pushing" $right -DWAKE_FIRST
breaks "looking before pushing" $right -DLOOK_FIRST
breaks "an event per write: looking before pushing" $right -DEDGE -DLOOK_FIRST
error='assertion violated' breaks "a turn that does not look" $right \
    -DNO_TURN_TAKE
[ $failed = 0 ] &&
    echo "wake-up: 0 lost in $held models, $broken wrong orders shown to fail"
exit $failed
