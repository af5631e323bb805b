#!/usr/bin/env bash
# Runs what takes too long for .ci/run: the whole static analysis; every test on
# every reactor and context switch, including those that do not depend on them;
# compilers for all other systems; Linux with musl on other processors; all
# points of the torture under the sanitizers; more seeds, a longer soak, more
# fuzzing, and the mutants.
#
#     usage: tests/run --nightly
#
# Takes some hours.  Ends with the same table and line as .ci/run.
set -u
export CI=true
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

sanitize=address,undefined
steps_dir=build/nightly
step_limit_s=7200
whole_limit_s=20000

. tests/tools/bootstrap.sh
. tests/tools/figures.sh
. tests/tools/steps.sh

need_everything
check "static analysis" tests/run --analyze
for reactor in kqueue poll; do
    check "gcc, $reactor" tests/run --compiler gcc --reactor $reactor
    check "clang, $reactor" tests/run --compiler clang --reactor $reactor
    for sanitizer in $sanitize thread; do
        check "gcc, $reactor, $sanitizer" tests/run --compiler gcc \
            --reactor $reactor --sanitize $sanitizer
    done
    check "clang, $reactor, $sanitize" tests/run --compiler clang \
        --reactor $reactor --sanitize $sanitize
    check "gcc, $reactor, interrupted" \
        tests/run --compiler gcc --reactor $reactor --eintr
    check "gcc, $reactor, valgrind" \
        tests/run --compiler gcc --reactor $reactor --valgrind
done
for compiler in gcc clang; do
    check "$compiler, ucontext" \
        tests/run --compiler $compiler --context ucontext
    check "$compiler, ucontext, $sanitize" tests/run --compiler $compiler \
        --context ucontext --sanitize $sanitize
done
check "clang, release" tests/run --compiler clang --release
check "gcc, shared, release" tests/run --compiler gcc --shared --release
check "gcc, shared, release, valgrind" \
    tests/run --compiler gcc --shared --release --valgrind
for compiler in gcc clang; do
    check "$compiler, epoll" tests/run --compiler $compiler --reactor epoll
    for sanitizer in $sanitize thread; do
        check "$compiler, epoll, $sanitizer" tests/run --compiler $compiler \
            --reactor epoll --sanitize $sanitizer
    done
done
for arch in aarch64 riscv64; do
    check "$arch under qemu" tests/run --arch $arch
done
check "other systems" tests/run --cross --whole
check "other systems, emulated" tests/run --cross --emulate \
    aarch64-linux-musl riscv64-linux-musl
check "torture, $sanitize" \
    tests/run --compiler gcc --sanitize $sanitize --torture
check "torture, $sanitize, release" \
    tests/run --compiler gcc --sanitize $sanitize --torture --release
check "simulation, $sanitize" \
    tests/run --compiler gcc --sanitize $sanitize --sim 10000
beside "simulation" tests/run --compiler gcc --sim 100000
check "soak, 10 minutes" tests/run --compiler clang --soak 600
settle
check "soak, $sanitize" tests/run --compiler gcc --sanitize $sanitize --soak 60
check "fuzzing" tests/run --fuzz 10000000
check "mutants" tests/run --mutants

conclude_steps
