# The table with which tests/run and .ci/run end: what was run, its figure, and
# the bar that the figure had to reach.  Sourced by bash.

# Fields are separated by |: a regular expression for the beginning of the line
# in which a program prints its figure, the name in the table, and the bar.  The
# programs check their bars themselves: a missed bar is a failed test.  If a bar
# depends on how the program is run, its line ends with [bar: TEXT].
figure_table='
torture|torture|
sim|simulation|0 failed
wake-up|wake-up model|0 lost, the wrong orders found
classes|classes of failure|0 open
soak|soak|
exact|instructions and system calls|at most 3 % from the recorded ones
storm|signals while asleep|
fuzz [a-z_]+||0 crashes
coverage|coverage|95% lines, 88% branches
gcc [0-9.]+|gcc -fanalyzer|0 findings
clang-tidy [0-9.]+|clang-tidy|0 findings
cppcheck [0-9.]+|cppcheck|0 findings
clang-format [0-9.]+|clang-format|0 findings
bridge [a-z_]+||
interruptions|interruptions|as many calls ended as programs run
'

# Prints NAME|FIGURE|BAR for each line of a log that contains a figure.
figures_of() { # LOG
    awk -F'|' '
        NR == FNR && NF == 3 {
            start[++count] = $1
            name[count] = $2
            bar[count] = $3
        }
        NR == FNR { next }
        {
            for (i = 1; i <= count; i++)
                if (match($0, "^" start[i] ": ")) {
                    what = name[i] != "" ? name[i] : substr($0, 1, RLENGTH - 2)
                    figure = substr($0, RLENGTH + 1)
                    its_bar = bar[i]
                    if (match(figure, / \[bar: .*\]$/)) {
                        its_bar = substr(figure, RSTART + 7, RLENGTH - 8)
                        figure = substr(figure, 1, RSTART - 1)
                    }
                    print what "|" figure "|" its_bar
                    break
                }
        }' <(printf '%s\n' "$figure_table") "$1"
}

# Prints rows of NAME|FIGURE|BAR as a table.
print_figures() { # <ROWS
    awk -F'|' '
        BEGIN { name[0] = "what"; figure[0] = "figure"; bar[0] = "bar" }
        {
            name[NR] = $1
            figure[NR] = $2
            bar[NR] = $3
        }
        END {
            for (i = 0; i <= NR; i++) {
                if (length(name[i]) > wide)
                    wide = length(name[i])
                if (length(figure[i]) > wider)
                    wider = length(figure[i])
            }
            for (i = 0; i <= NR; i++)
                printf "%-*s  %-*s  %s\n", wide, name[i], wider, figure[i], \
                    bar[i]
        }'
}

# Prints NAME|FIGURE|BAR for each row of a table that a log contains.
rows_of() { # LOG
    awk '
        is_row && /  / {
            gsub(/  +/, "|")
            print
        }
        /^what  +figure  +bar$/ { is_row = 1 }' "$1"
}
