# Functions that are too long or take too much, from what ctags says of them.
#
#   ctags -x --_xformat='%F:%n:%{end}:%N:%S' ... | awk -f lint_sizes.awk
#
# With -v report=1 prints "lines parameters file:line function" of all instead.

# The place for an error, which every fallible function takes, is not counted.
# Commas that are not inside the parentheses of a function pointer.
function n_parameters(signature,    i, c, depth, n) {
    if (signature ~ /^\( *(void)? *\)$/) {
        return 0
    }
    n = signature ~ /, *struct err \* *err\)$/ ? 0 : 1
    for (i = 1; i <= length(signature); i++) {
        c = substr(signature, i, 1)
        if (c == "(") {
            depth++
        } else if (c == ")") {
            depth--
        } else if (c == "," && depth == 1) {
            n++
        }
    }
    return n
}

BEGIN { FS = ":" }

{
    lines = $3 - $2 + 1
    signature = $0
    sub(/^[^(]*/, "", signature)
    n = n_parameters(signature)
    if (report) {
        printf "%d %d %s:%d %s\n", lines, n, $1, $2, $4
        next
    }
    if (lines > 70) {
        printf "%s:%d: %s() has %d lines; at most 70: move work to leaves\n", $1, $2, $4, lines
    }
    if (n > 6) {
        printf "%s:%d: %s() takes %d parameters; at most 6: pass a struct\n", $1, $2, $4, n
    }
}
