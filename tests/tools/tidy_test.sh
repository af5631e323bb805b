#!/usr/bin/env bash
# Checks that tidy finds the mistakes that are planted in a small tree: each
# phrase that it refuses, a phrase in each place where it checks the wording,
# and one mistake for each of its other rules.
#
#     usage: tests/tools/tidy_test.sh
set -u
export LC_ALL=C
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/aloop.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
tree=$work/tree
planted=0 wrong=0

# Creates a tree in which tidy finds nothing.
create_tree() {
    rm -rf "$tree"
    mkdir -p "$tree"/{src/loop,src/os,include/aloop,examples} \
        "$tree"/tests/{tools,support}
    touch "$tree"/{,examples/,tests/}CMakeLists.txt "$tree/include/aloop.h" \
        "$tree"/src/os/{sys,reactor}.h "$tree/tests/tools/mutants.txt" \
        "$tree/tests/support/sys_calls.def"
}

# Writes standard input to a file of the tree.
add() { # FILE
    mkdir -p "$(dirname "$tree/$1")"
    cat >"$tree/$1"
    [[ $1 != src/*.c ]] || echo "    $1" >>"$tree/CMakeLists.txt"
}

# Checks that tidy has a finding about the file that matches the expression.
expect() { # FILE EXPRESSION
    planted=$((planted + 1))
    grep -qE "^$1:$2" "$work/said" && return
    echo "tidy has not found $1:$2 but:"
    cat "$work/said"
    wrong=1
}

# Runs tidy on a tree to which only this file is added, with standard input in
# it.  Without an expression, tidy must not find a mistake in it.
plant() { # FILE [EXPRESSION]
    create_tree
    add "$1"
    "$tools/tidy" "$tree" >"$work/said"
    if [ $# = 2 ]; then
        expect "$1" "$2"
    elif grep "^$1:" "$work/said"; then
        echo "tidy has found a mistake where there is none"
        wrong=1
    fi
}

create_tree
"$tools/tidy" "$tree" >"$work/said" || {
    echo "tidy has found mistakes in a tree without any:"
    cat "$work/said"
    wrong=1
}

# Each phrase, alone, in upper case and across a line break.
phrases=()
while IFS='|' read -r phrase instead; do
    [[ -z $phrase || $phrase = '#'* ]] && continue
    phrases+=("$phrase")
    [ -n "$instead" ] || { echo "$phrase: no advice"; wrong=1; }
done <"$tools/phrases.txt"
[ ${#phrases[@]} -ge 30 ] || { echo "only ${#phrases[@]} phrases"; wrong=1; }
{
    for phrase in "${phrases[@]}"; do
        echo "/* This is $phrase. */"
        echo "/* This is $(tr '[:lower:]' '[:upper:]' <<<"$phrase")"
        echo " * text. */"
        echo "/* This is ${phrase% *}"
        [[ $phrase != *' '* ]] || echo " * ${phrase##* } text. */"
    done
} >"$work/phrases"
plant src/loop/phrases.c '1: "' <"$work/phrases"
for phrase in "${phrases[@]}"; do
    found=$(grep -cF "\"$phrase\" is unclear" "$work/said")
    planted=$((planted + 1))
    [ "$found" -ge 3 ] && continue
    echo "tidy has found \"$phrase\" in $found of 3 places"
    wrong=1
done

# In each place and form.  The phrases are written so that tidy does not find
# them in this file.
now='at 'once no_one=no''body
places=(src/loop/a.c src/loop/a.h src/README.md include/aloop/a.h
    examples/a.c examples/run examples/support/a.h tests/run tests/README.md
    tests/tools/a.sh tests/tools/a.txt tests/support/a.h tests/simulator/a.c
    .ci/run .github/a.md .github/workflows/a.yml README.md)
create_tree
for file in "${places[@]}"; do add "$file" <<<"text"$'\n'"text $now"; done
"$tools/tidy" "$tree" >"$work/said"
for file in "${places[@]}"; do expect "$file" "2: \"$now"; done
plant src/loop/a.c "2: \"$now" <<<'"it ends at "'$'\n''"once"'
plant src/loop/a.c "3: \"$now" <<<$'\n''/* It ends at'$'\n'' * once. */'
plant tests/tools/a.sh "2: \"$now" <<<'# It ends at'$'\n''# once.'
plant tests/support/a.h "1: \"$no_one" \
    <<<"static void ${no_one}_waits(void **state)"
plant src/loop/a.c <<<"/* A ${no_one}x, x$no_one, and a point at"$'\n''x. */'
plant src/loop/a.c <<<"int ${no_one}_waits;"

# The other rules, one mistake for each.
plant src/loop/a.c '1: is over 80' <<<"/* $(printf '%080d' 0) */"
plant src/loop/a.c '1: has a tab' <<<$'\tint a;'
plant src/loop/a.c '1: ends in a space' <<<'int a; '
plant src/loop/a.c '1: has something left' <<<"/* TO""DO */"
{ echo '{'; printf '\n%.0s' {1..61}; echo '}'; } >"$work/long"
plant src/loop/a.c '1: function of 61' <"$work/long"
plant src/loop/a.c '501: file of more' < <(printf '\n%.0s' {1..501})
plant include/aloop/a.h '251: file of more' < <(printf '\n%.0s' {1..251})
plant tests/system/test_a.c '801: file of more' < <(printf '\n%.0s' {1..801})
plant src/loop/a.c '1: platform' <<<'#ifdef __linux__'
plant src/loop/a.c '1: system header' <<<'#include <unistd.h>'
plant src/loop/a.c '1: feature macro' <<<'#define _GNU_SOURCE'
plant src/os/a.c <<<'#ifdef __linux__'
plant src/os/a.c '1: header of the kernel' <<<'#include <linux/futex.h>'
plant src/loop/a.c '1: includes a later' <<<'#include "task/task.h"'
plant src/loop/a.c '1: includes a file' <<<'#include "other/a.h"'
plant src/loop/a.c '1: the library never' <<<'void f(void) { abort(); }'
plant src/loop/a.c <<<'/* abort(); */'
plant tests/unit/loop/test_a.c '1: a unit test' <<<'void f(void) { sleep(1); }'
plant tests/system/test_a.c '1: a call that a' \
    <<<'void f(void) { read(0, p, 1); }'
plant src/loop/a.c '1: is a boolean.*: done' <<<'static bool done;'
plant tests/support/a.h '1: is a boolean.*: b$' <<<'    bool is_a, b = 1;'
plant examples/a.c '1: is a boolean.*: ok' <<<'int f(bool is_a, bool *ok);'
plant src/loop/a.h '1: is a boolean.*: debug' <<<'    bool debug;'
plant include/aloop/a.h '1: is a boolean.*: over' <<<'    bool over[2];'
plant src/loop/a.c '1: is a boolean.*: b$' <<<'bool is_a = f(1, 2), b;'
plant include/aloop.h <<<'    bool debug;'
plant src/loop/a.h <<<'bool f(bool *has_b, int x, bool is_b); /* bool c; */'
plant src/loop/a.c <<<'    bool is_a = f(true, false), *is_b = g(b, c);'
plant include/aloop/a.h '1: is public' <<<'ALOOP_API void aloop_a(void);'
plant include/aloop/a.h '1: does not begin' \
    <<<'/** Result. */'$'\n''ALOOP_API void aloop_a(void);'
plant include/aloop/a.h '1: not in include/aloop.h' <<<''
plant examples/a.c '1: not in examples' <<<''
plant tests/programs/examples_a.sh '2: defines a' \
    <<<'a() { :; }'$'\n''a() { :; }'
plant tests/tools/mutants.txt '1: a: not in' <<<'a src/loop/a.c'$'\n''-int a;'
plant src/os/sys.h <<<'int aloop__sys_a(void);'
expect tests/support/sys_calls.def '1: does not have aloop__sys_a'
plant src/os/sys_file.h <<<'int aloop__sys_b(void);'
expect tests/support/sys_calls.def '1: does not have aloop__sys_b'
plant other '1: does not belong' <<<''

# Public functions that no world calls, and exceptions that are none.
create_tree
add include/aloop/a.h <<<'ALOOP_API int aloop_a(void);'$'\n''ALOOP_API aloop *
    aloop_b(void);'$'\n''ALOOP_API int aloop_c(void);'
add tests/worlds/world_a.c <<<'int a = aloop_a() + aloop_d();'
add tests/tools/unreached.txt <<<'aloop_c is a text'$'\n''aloop_a is a text
aloop_d is a text
aloop_e'
"$tools/tidy" "$tree" >"$work/said"
expect include/aloop/a.h '3: aloop_b is called by no world'
for finding in '2: aloop_a is no' '3: aloop_d is no' '4: aloop_e has no'; do
    expect tests/tools/unreached.txt "$finding"
done
if grep -q 'aloop_c is called' "$work/said"; then
    echo "tidy has found a mistake where there is none"
    wrong=1
fi

# An error that a contract names, and error.h does not have.
create_tree
add include/aloop/error.h <<<'    ALOOP_EA = -EA,'
add include/aloop/a.h <<<'/* ALOOP_EA, ALOOP_EB and ALOOP_EB. */'
"$tools/tidy" "$tree" >"$work/said"
expect include/aloop/a.h '1: ALOOP_EB is not in include/aloop/error.h'
if grep -q 'ALOOP_EA is not' "$work/said"; then
    echo "tidy has found a mistake where there is none"
    wrong=1
fi

# Circles of files, in symbols as nm prints them.  Two files may use each other,
# and so may files of different layers.
list_uses() { # FROM TO...: each TO defines a symbol, which FROM uses.
    local from=$1 to
    shift
    for to; do
        echo "x/src/$from.c.o: aloop__${from//\//_}_${to//\//_} U"
        echo "x/src/$to.c.o: aloop__${from//\//_}_${to//\//_} T 0 0"
    done
}
{ list_uses loop/a loop/b loop/c; list_uses loop/b loop/a os/c
  list_uses os/c loop/a; } >"$work/symbols"
"$tools/circles.sh" - <"$work/symbols" >"$work/said" || {
    echo "circles has found one where there is none:"
    cat "$work/said"
    wrong=1
}
list_uses loop/c loop/b >>"$work/symbols"
"$tools/circles.sh" - <"$work/symbols" >"$work/said" && wrong=1
expect src/loop/a.c '1: is in a circle of 3 files'
"$tools/circles.sh" - </dev/null >"$work/said" && wrong=1
expect circles ' no objects'
[ $wrong = 0 ] && echo "tidy: found all of $planted planted mistakes"
exit $wrong
