#!/usr/bin/env bash
# Prints tests/tools/classes.txt, and checks it.  Each class must occur once, in
# order, with tests or with a reason, and none may be open.  Each test that the
# table names must be defined and run in the file that the table names.
#
#     usage: tests/tools/classes.sh [TABLE]
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
table=${1:-tools/classes.txt}
[ -r "$table" ] || {
    echo "cannot read $table"
    exit 1
}

grep -vE '^(#|$)' "$table" | awk -v expected=63 '
    function finding(what) {
        print "wrong: " what
        wrong++
    }
    function missing(name) {
        if (file ~ /^worlds\//)
            return text !~ "\nconst struct world " name " ="
        if (file ~ /\.c$/)
            return text !~ "static void " name "\\([ \n]*void \\*\\*state\\)" \
                || text !~ "[A-Za-z_]\\([ \n]*" name "[,)]"
        return !index(text, name)
    }
    function finish() { # Concludes the previous class.
        if (!number)
            return
        if ((tests > 0) + none + open != 1)
            finding("class " number " needs tests, or none:, or open:")
        tested += tests > 0
        not_applicable += none
        opened += open
        tests = none = open = 0
    }
    /^[0-9]+ ./ {
        finish()
        if ($1 != number + 1)
            finding("class " number + 1 " is not after " number + 0)
        number = $1
        sub(/^[0-9]+ /, "")
        printf "%2d  %s\n", number, $0
        file = ""
        next
    }
    /^  (none|open): ./ {
        if ($1 == "none:")
            none = 1
        else
            open = 1
        print "    " ($1 == "none:" ? "does not apply: " : "OPEN: ") \
            substr($0, 9)
        next
    }
    /^  [^ ]+$/ {
        file = $1
        text = line = ""
        while ((status = (getline line <file)) > 0)
            text = text line "\n"
        if (status < 0)
            finding("class " number ": no file " file)
        close(file)
        next
    }
    /^    [^ ]/ && file != "" {
        name = substr($0, 5)
        if (missing(name))
            finding("class " number ": no test " name " in " file)
        print "    " file ": " name
        tests++
        next
    }
    { finding("not understood: " $0) }
    END {
        finish()
        if (number != expected)
            finding("it ends with class " number " of " expected)
        printf "classes: %d have tests, %d do not apply, %d open\n", \
            tested, not_applicable, opened
        exit wrong > 0 || opened > 0
    }'
