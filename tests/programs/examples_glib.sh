# The check of the example glib_watch.  Sourced by check.sh, after
# examples_net.sh.
# shellcheck shell=bash disable=SC2154

check_example_glib_watch() {
    local status
    mkdir "$work/watched"
    : >"$work/out"
    "$@" -t 600 "$work/watched" "$work/single" >"$work/out" 2>"$work/err" &
    server=$!
    until grep -qx watching "$work/err"; do
        kill -0 "$server" || fail "ended early"
        read -r -t 0.05 <> <(:)
    done
    : >"$work/watched/a"
    until_line "created: $work/watched/a"
    until_line "complete: $work/watched/a"
    rm "$work/watched/a"
    until_line "deleted: $work/watched/a"
    : >"$work/watched/"$'b\n\e[2J\xc2\x9b\xff'
    until_line "created: $work/watched/b\\n\\033[2J\\302\\233\\377"
    : >"$work/watched/ä"
    until_line "created: $work/watched/ä"
    : >"$work/single" # It did not exist.
    until_line "created: $work/single"
    kill -TERM "$server"
    wait "$server"
    status=$?
    server=
    [ $status -eq 130 ] || fail "exit status $status after SIGTERM"
    "$@" -t 0.01 "$work/watched" >"$work/out" 2>"$work/err" ||
        fail "exit status $? after the limit"
    "$@" >"$work/out" 2>&1
    [ $? -eq 2 ] || fail "wrong usage has another exit status"
    "$@" --help | grep -q '^usage: glib_watch' || fail "there is no help"
}
