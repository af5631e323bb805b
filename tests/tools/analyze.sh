#!/usr/bin/env bash
# Runs gcc -fanalyzer, clang-tidy and cppcheck on every C file of the tree,
# including those that this configuration does not build, and prints their
# findings.  The findings that are allowed are in analyze.supp, with reasons.  A
# line of analyze.supp that matches no finding is a finding itself.
#
#     usage: tests/tools/analyze.sh BUILD-DIRECTORY [quick]
#
# With `quick`, files are searched less deeply, and those of the tests only by
# cppcheck.  Lines of analyze.supp that match no finding are not reported then.
#
# The directory must have been configured with CMAKE_EXPORT_COMPILE_COMMANDS.
# A tool fails unless it finds a mistake that is planted for it.  The format is
# checked too.  The last line counts, one for each file and tool.
set -u
export LC_ALL=C

tools=(gcc clang-tidy cppcheck)
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
allowed=$root/tests/tools/analyze.supp
GCC=${GCC:-gcc}

give_up() {
    echo "analyze: $*"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

[ $# = 1 ] || [ "$# ${2-}" = "2 quick" ] ||
    give_up "usage: tests/tools/analyze.sh BUILD-DIRECTORY [quick]"
is_quick=${2:+yes}
database=$1/compile_commands.json
[[ $root$1 != *[[:space:]]* ]] || give_up "a path with a space: $root, $1"
[ -r "$database" ] || give_up "there is no $database"
[ -r "$allowed" ] || give_up "there is no $allowed"
for tool in "$GCC" clang-tidy cppcheck; do
    command -v "$tool" >/dev/null || give_up "not found: $tool"
done
work=$(mktemp -d) || give_up "no directory for temporary files"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export GCC work root allowed is_quick

# Prints a line for each file, FILE OPTION..., with the options of CMake's
# database that change the meaning of a file.  Assertions stay enabled, because
# the tools use them.  If a file is also built with another name for its main(),
# only the build with main() counts.
built_files() {
    awk '
        /^ *"command": / {
            sub(/^ *"command": "/, "")
            sub(/",?$/, "")
            gsub(/\\\\/, "\001")
            gsub(/\\"/, "\"")
            gsub(/\001/, "\\")
            count = split($0, word, " ")
            options = ""
            for (i = 2; i <= count; i++) {
                if (word[i] == "-isystem")
                    options = options " " word[i] " " word[++i]
                else if (word[i] ~ /^-([IDU]|std=)/ && word[i] != "-DNDEBUG")
                    options = options " " word[i]
            }
        }
        /^ *"file": / {
            sub(/^ *"file": "/, "")
            sub(/",?$/, "")
            if (options !~ / -Dmain=/ && !seen[$0]++)
                print $0 options
        }' "$database"
}

# Prints the same for all files of the tree.  Files that this configuration
# leaves out (other reactors, the kqueue stand-in, fuzz targets) get simple
# options.  Only files that need libuv, libev or libevent, or the headers that
# nginx's configure makes, may be skipped.
list_files() {
    local file line
    find "$root"/{src,examples,tests} -name '*.c' | sort |
        while read -r file; do
            if line=$(grep -F -m 1 "$file " "$work/built"); then
                echo "$line"
            elif [[ $file = */tests/bench/*_@(ev|event|uv).c ||
                $file = */examples/bridges/nginx/*.c ]]; then
                echo "${file#"$root"/}" >>"$work/skipped"
            else
                echo "$file -std=c11 -I$root/include -I$root/src" \
                    "-I$root/tests -I$root/tests/support/kqueue" \
                    "-DFUZZ_TARGET=__FILE__"
            fi
        done
}

# Plants a double free, which each of the tools can find.
plant() {
    cat >"$work/planted.c" <<'END'
#include <stdlib.h>

void planted(void);

void planted(void)
{
    void *memory = malloc(1);

    free(memory);
    free(memory);
}
END
    echo "$work/planted.c -std=c11"
}
planted_gcc=-Wanalyzer-double-free
planted_clang_tidy=clang-analyzer-unix.Malloc
planted_cppcheck=doubleFree

write_database() { # Of what list_files prints.
    awk -v directory="$work" '
        BEGIN { print "[" }
        {
            file = $1
            $1 = ""
            gsub(/\\/, "&&")
            gsub(/"/, "\\\"")
            printf "%s{\"directory\": \"%s\",\n\"command\": \"cc%s -c %s\"," \
                "\n\"file\": \"%s\"}\n", (NR > 1 ? "," : ""), directory, $0, \
                file, file
        }
        END { print "]" }'
}

# The output of a tool about a file goes to $work/TOOL/N.  The file N.done
# exists if the tool finished.

gcc_whole='-Wanalyzer-too-complex --param=analyzer-bb-explosion-factor=1000
    --param=analyzer-max-enodes-per-program-point=200'
gcc_deeper=--param=analyzer-bb-explosion-factor=50
gcc_warnings='-Wall -Wextra -Wnull-dereference -Wduplicated-cond
    -Wduplicated-branches -Wlogical-op -Wwrite-strings -Wformat=2
    -Wformat-signedness -Wjump-misses-init -Walloca -Wredundant-decls
    -Wnested-externs -Wold-style-definition -Wfloat-equal -Wdouble-promotion
    -Wunused-const-variable=2 -Wimplicit-fallthrough=5'
export gcc_whole gcc_deeper gcc_warnings

# The library and the examples are searched completely without optimisation, and
# functions that are too complex for that are reported.  Files with a function
# that analyze.supp lists as too complex are searched less deeply: the search
# would not be complete, and takes up to a minute.  With optimisation,
# inlining creates more paths than can be searched, but other warnings become
# possible.  The tests are searched less deeply and only without optimisation,
# which takes a quarter of the time.
gcc_file() { # N FILE OPTION...
    local out=$work/gcc/$1 file=$2 whole=$gcc_whole deeper=$gcc_deeper
    local warnings=$gcc_warnings
    local command=("$GCC" "${@:3}" -S -o /dev/null "$file")
    [ -z "$is_quick" ] || whole= deeper=-fno-analyzer
    [[ $file != "$root"/tests/* ]] || whole= warnings=
    [ -z "$whole" ] ||
        ! grep -qF -- " -Wanalyzer-too-complex ${file#"$root"/} " "$allowed" ||
        whole="-Wanalyzer-too-complex $deeper"
    {
        "${command[@]}" -fanalyzer -O0 $whole &&
            { [ -z "$warnings" ] ||
                "${command[@]}" -fanalyzer -O2 $deeper $warnings; } &&
            touch "$out.done"
    } 2>&1 | sed "s|^cc1: warning:|$file:0: warning:|" >"$out"
}

clang_tidy_file() { # N FILE OPTION...
    local out=$work/clang-tidy/$1 result word depth=() nodes=100000
    # Less deeply, as gcc.  The time grows with the number of nodes.
    [ -z "$is_quick" ] || nodes=10000
    if [ -n "$is_quick" ] || [[ $2 = "$root"/tests/* ]]; then
        for word in -Xclang -analyzer-config -Xclang max-nodes=$nodes; do
            depth+=("--extra-arg=$word")
        done
    fi
    clang-tidy --quiet -p "$work" --config-file="$root/.clang-tidy" \
        ${depth[@]+"${depth[@]}"} "$2" >"$out" 2>"$out.errors"
    result=$?
    # 1 is a finding.
    if [ $result = 0 ] || { [ $result = 1 ] && grep -q ': error: ' "$out"; }
    then
        touch "$out.done"
    else
        cat "$out.errors" >>"$out"
    fi
}
export -f gcc_file clang_tidy_file

# With `quick`, only cppcheck reads the tests.
reads() { # TOOL FILE
    [ -z "$is_quick" ] || [ "$1" = cppcheck ] || [[ $2 != "$root"/tests/* ]]
}

each_file() { # TOOL FUNCTION
    local n=0 file rest
    while read -r file rest; do
        n=$((n + 1))
        ! reads "$1" "$file" || echo "$n $file $rest"
    done <"$work/files" | xargs -P "$jobs" -I '{}' bash -c "$2"' $1' _ '{}'
}

# Runs cppcheck on all files together, because it also uses the calls of a
# function.
run_cppcheck() {
    local n=0 file rest configs=--force # All combinations of conditions.
    [ -z "$is_quick" ] || configs=--max-configs=2
    cppcheck --project="$work/compile_commands.json" $configs --inconclusive \
        --enable=warning,style,performance,portability --library=posix,gnu \
        --template='{file}:{line}: warning: {message} [{id}]' \
        >"$work/cppcheck/progress" 2>"$work/cppcheck/all" || return
    while read -r file rest; do
        n=$((n + 1))
        ! grep -qF "Checking $file " "$work/cppcheck/progress" ||
            touch "$work/cppcheck/$n.done"
    done <"$work/files"
}

# Prints each finding of a tool once, as TOOL CHECK FILE LINE MESSAGE, separated
# by tabs.
findings_of() { # TOOL
    find "$work/$1" -type f ! -name '*.*' ! -name progress -exec cat {} + |
        awk -v tool="$1" -v OFS='\t' '
        /^[^ ]*:[0-9]+:([0-9]+:)? (warning|error): / {
            place = $1
            message = $0
            sub(/^[^ ]* (warning|error): /, "", message)
            check = "error"
            if (match(message, / \[[^][ ]*\]$/)) {
                check = substr(message, RSTART + 2, RLENGTH - 3)
                message = substr(message, 1, RSTART - 1)
            }
            sub(/,-warnings-as-errors$/, "", check)
            split(place, part, ":")
            print tool, check, part[1], part[2], message
        }' | sed "s|\t$root/|\t|" | sort -u -t $'\t' -k 3,3 -k 4,4n -k 1,2
}

# Prints the findings that are not allowed, then the lines of analyze.supp that
# matched no finding.
judge() {
    cd "$root" && awk -F '\t' -v OFS='\t' -v allowed="$allowed" \
        -v is_quick="$is_quick" '
        function pattern_of(glob) {
            gsub(/[][.+^$(){}|\\]/, "\\\\&", glob)
            gsub(/\*/, ".*", glob)
            return "^" glob "$"
        }
        function source_line(file, wanted, line, at) {
            while (at < wanted && (getline line <file) > 0)
                at++
            close(file)
            return at == wanted ? line : ""
        }
        BEGIN {
            while ((getline line <allowed) > 0) {
                at++
                if (line ~ /^(#|$)/)
                    continue
                split(line, word, " ")
                text = line
                sub(/^[^ ]+ +[^ ]+ +[^ ]+ +/, "", text)
                count++
                place[count] = at
                tool[count] = word[1]
                check[count] = pattern_of(word[2])
                file[count] = pattern_of(word[3])
                code[count] = text
            }
        }
        {
            is_allowed = 0
            for (i = 1; i <= count; i++) {
                if (tool[i] != $1 || $2 !~ check[i] || $3 !~ file[i])
                    continue
                if (code[i] != "*" && !index(source_line($3, $4), code[i]))
                    continue
                used[i] = is_allowed = 1
            }
            if (!is_allowed)
                print
        }
        END {
            for (i = 1; i <= count; i++)
                if (!used[i] && !is_quick)
                    print tool[i], "unused", "tests/tools/analyze.supp", \
                        place[i], "this line matches no finding"
        }' "$1"
}

# Prints suppressions in the sources themselves.  Nothing would report them when
# they are no longer needed.
hidden() {
    cd "$root" && grep -rnE --include='*.[ch]' \
        'NOLINT|cppcheck-suppress|diagnostic.*-Wanalyzer' \
        src include examples tests |
        awk -F : -v OFS='\t' '{
            print "clang-tidy", "hidden", $1, $2, "belongs in analyze.supp"
        }'
}

declare -A versions=(
    [gcc]="$("$GCC" -dumpfullversion)"
    [clang-tidy]="$(clang-tidy --version | sed -n 's/.*LLVM version //p')"
    [cppcheck]="$(cppcheck --version | sed 's/.* //')")
mkdir "$work"/{gcc,clang-tidy,cppcheck} || give_up "cannot write to $work"
: >"$work/skipped"
built_files >"$work/built"
[ -s "$work/built" ] || give_up "$database names no file"
{ list_files; plant; } >"$work/files"
write_database <"$work/files" >"$work/compile_commands.json"
[ "$(wc -l <"$work/files")" -gt 1 ] || give_up "no files to analyse"

run_cppcheck &
each_file gcc gcc_file
each_file clang-tidy clang_tidy_file
wait
for tool in "${tools[@]}"; do findings_of "$tool"; done >"$work/said"
grep -v "$work/planted.c" "$work/said" >"$work/found"
hidden >>"$work/found"
judge "$work/found" >"$work/left"

passed=0 failed=0 skipped=0
missing=$(wc -l <"$work/skipped")
[ "$missing" = 0 ] ||
    echo "skipped, without their headers: $(xargs <"$work/skipped")"
awk -F '\t' '{ print $3 ":" $4 ": " $1 ": " $5 " [" $2 "]" }' "$work/left"
n=0
declare -A count=([gcc]=-1 [clang-tidy]=-1 [cppcheck]=-1) # Not the planted one.
while read -r file rest; do
    n=$((n + 1))
    for tool in "${tools[@]}"; do
        reads "$tool" "$file" || continue
        count[$tool]=$((count[$tool] + 1))
        [ -e "$work/$tool/$n.done" ] && continue
        echo "${file#"$root"/}:1: $tool did not finish"
        [ ! -e "$work/$tool/$n" ] || tail -n 20 "$work/$tool/$n"
        echo "${file#"$root"/}" >>"$work/$tool.bad"
    done
done <"$work/files"
for tool in "${tools[@]}"; do
    is="planted_${tool/-/_}"
    if ! grep -qP "^$tool\t${!is}\t.*planted\.c\t" "$work/said"; then
        echo "$tool did not find the planted mistake: ${!is}"
        echo planted >>"$work/$tool.bad"
    fi
    grep -P "^$tool\t" "$work/left" | cut -f 3 >>"$work/$tool.bad"
    bad=$(sort -u "$work/$tool.bad" | wc -l)
    ended=$(find "$work/$tool" -name '*.done' | wc -l)
    echo "$tool ${versions[$tool]}: $((ended - 1)) files," \
        "$(grep -cP "^$tool\t" "$work/left") findings"
    failed=$((failed + bad))
    passed=$((passed + count[$tool] - bad))
    skipped=$((skipped + missing))
done
bash "$root/tests/tools/format.sh" >"$work/format"
case $? in
0) passed=$((passed + 1)) ;;
77) skipped=$((skipped + 1)) ;;
*) failed=$((failed + 1)) ;;
esac
cat "$work/format"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
