# Fills the generated parts of the documentation from the .def tables.
#
#   awk -f docs.awk TABLE.def ... PAGE        prints PAGE with its generated parts made anew
#   awk -f docs.awk -v list=1 TABLE.def ...   prints macro, name, second argument and place of rows
#
# A page holds, in the comments of its own language, a line with "BEGIN GENERATED <part>" and one
# with "END GENERATED"; what stands between them is replaced.  The parts: messages types errors
# policies policies-man policies-conf metrics memory faults keywords shard-commands pd-commands
# views functions aggregates operators.

# ---- the tables ----

function unquote(text) {
    # Strings that stand side by side are one, as in C.
    gsub(/"[ \t]+"/, "", text)
    sub(/^[ \t]+/, "", text)
    sub(/[ \t]+$/, "", text)
    if (text ~ /^".*"$/) {
        text = substr(text, 2, length(text) - 2)
        gsub(/\\"/, "\"", text)
    }
    return text
}

# Cuts "MACRO(a, b, ...)" at its top-level commas and keeps the parts in row[macro, number, i].
function keep_row(text, line,    macro, i, c, depth, in_string, argument, n, number) {
    macro = text
    sub(/\(.*/, "", macro)
    text = substr(text, length(macro) + 2)
    gsub(/[ \t]/, "", macro)
    number = ++n_rows[macro]
    depth = 1
    argument = ""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\"" && substr(text, i - 1, 1) != "\\") {
            in_string = !in_string
        }
        if (!in_string) {
            depth += (c == "(") - (c == ")")
            if (depth == 0 || (c == "," && depth == 1)) {
                row[macro, number, ++n] = unquote(argument)
                if (list && n == 2) {
                    printf "%s\t%s\t%s\t%s:%d\n", macro, row[macro, number, 1],
                        row[macro, number, 2], FILENAME, line
                }
                argument = ""
                n_arguments[macro, number] = n
                continue
            }
        }
        argument = argument c
    }
}

# Whether all parentheses of a row are closed; those in strings and characters do not count.
function is_whole(text,    opened, closed) {
    gsub(/\\"/, "", text)
    gsub(/"[^"]*"/, "", text)
    gsub(/'.'/, "", text)
    opened = gsub(/\(/, "", text)
    closed = gsub(/\)/, "", text)
    return opened > 0 && opened == closed
}

function read_table() {
    if (in_comment) {
        if (!sub(/.*\*\//, "")) {
            return
        }
        in_comment = 0
    }
    gsub(/\/\*([^*]|\*[^\/])*\*\//, "")
    if (sub(/\/\*.*/, "")) {
        in_comment = 1
    }
    if (pending !~ /[^ ]/) {
        pending_line = FNR
    }
    pending = pending " " $0
    if (is_whole(pending)) {
        sub(/^[ \t]+/, "", pending)
        keep_row(pending, pending_line)
        pending = ""
    }
}

# ---- values in words ----

function plain_number(x) {
    return x == int(x) ? sprintf("%.0f", x) : sprintf("%g", x)
}

# 1,000,000: a bound is read by people.
function grouped(x,    out) {
    x = sprintf("%.0f", x)
    while (length(x) > 3) {
        out = "," substr(x, length(x) - 2) out
        x = substr(x, 1, length(x) - 3)
    }
    return x out
}

function duration(us) {
    if (us % 86400000000 == 0) return plain_number(us / 86400000000) "d"
    if (us % 3600000000 == 0) return plain_number(us / 3600000000) "h"
    if (us % 60000000 == 0) return plain_number(us / 60000000) "min"
    if (us % 1000000 == 0) return plain_number(us / 1000000) "s"
    if (us % 1000 == 0) return plain_number(us / 1000) "ms"
    return plain_number(us) "us"
}

function bytes(x) {
    if (x == 0) return "0"
    if (x % 1099511627776 == 0) return plain_number(x / 1099511627776) "TiB"
    if (x % 1073741824 == 0) return plain_number(x / 1073741824) "GiB"
    if (x % 1048576 == 0) return plain_number(x / 1048576) "MiB"
    if (x % 1024 == 0) return plain_number(x / 1024) "KiB"
    return plain_number(x) "B"
}

function bound(type, x) {
    x += 0
    return type == "POLICY_IS_DURATION" ? duration(x) : type == "POLICY_IS_BYTES" ? bytes(x) \
        : type == "POLICY_IS_INT" ? grouped(x) : plain_number(x)
}

# What a policy may be set to.
function allowed(i,    type, choices) {
    type = row["POLICY", i, 3]
    if (type == "POLICY_IS_BOOL") {
        return "on or off"
    }
    if (type == "POLICY_IS_TEXT") {
        return "a text of at most 127 bytes"
    }
    if (type == "POLICY_IS_CHOICE") {
        choices = row["POLICY", i, 7]
        sub(/^CHOICES\(/, "", choices)
        sub(/\)$/, "", choices)
        gsub(/"/, "", choices)
        return (row["POLICY", i, 4] == "auto" ? "auto, " : "") choices
    }
    return (row["POLICY", i, 4] == "auto" ? "auto, or " : "") \
        (type == "POLICY_IS_DURATION" && row["POLICY", i, 5] == 0 ? "none, or up to " \
            : bound(type, row["POLICY", i, 5]) " to ") \
        bound(type, row["POLICY", i, 6]) \
        (row["POLICY", i, 15] == "" ? "" : " " row["POLICY", i, 15])
}

function default_of(i) {
    return row["POLICY", i, 4] == "" ? "(empty)" : row["POLICY", i, 4]
}

function scopes_of(i,    scopes, out) {
    scopes = row["POLICY", i, 8]
    if (scopes ~ /SCOPE_ALL/) {
        return "file, collection, session, statement"
    }
    if (scopes ~ /SCOPE_ANY_TIME/) {
        return "file, session, statement"
    }
    gsub(/SCOPE_/, "", scopes)
    gsub(/ *\| */, ", ", scopes)
    return tolower(scopes)
}

function is_in_file(i) {
    return scopes_of(i) ~ /file/
}

function applies(i) {
    return row["POLICY", i, 9] == "APPLY_NOW" ? "at SIGHUP" : "at the next start"
}

function metric_name(i,    unit) {
    unit = row["METRIC_ROW", i, 3]
    return "vectrond_" row["METRIC_ROW", i, 1] (unit == "" ? "" : "_" unit) \
        (row["METRIC_ROW", i, 2] == "METRIC_IS_COUNTER" ? "_total" : "")
}

function metric_kind(i,    kind) {
    kind = row["METRIC_ROW", i, 2]
    sub(/METRIC_IS_/, "", kind)
    return tolower(kind)
}

# For a cell of a Markdown table.
function cell(text) {
    gsub(/\|/, "\\|", text)
    gsub(/</, "\\&lt;", text)
    return text
}

# For troff: a leading dot or quote, backslashes and hyphens have a meaning there.
function troff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    if (text ~ /^[.']/) {
        text = "\\&" text
    }
    return text
}

# ---- the parts ----

function write_messages(    i, from) {
    print "| letter | message | from | fields | what it says |"
    print "|---|---|---|---|---|"
    for (i = 1; i <= n_rows["MESSAGE"]; i++) {
        from = tolower(row["MESSAGE", i, 3])
        sub(/from_/, "", from)
        printf "| `%s` | %s | %s | %s | %s |\n", substr(row["MESSAGE", i, 2], 2, 1),
            row["MESSAGE", i, 1], from, cell(row["MESSAGE", i, 4]), cell(row["MESSAGE", i, 5])
    }
}

function write_types(    i) {
    print "| number | type | what it holds |"
    print "|---|---|---|"
    for (i = 1; i <= n_rows["TYPE"]; i++) {
        printf "| %s | %s | %s |\n", row["TYPE", i, 2], row["TYPE", i, 3], cell(row["TYPE", i, 4])
    }
}

function write_errors(    i) {
    print "| SQLSTATE | name | what it means and what to do |"
    print "|---|---|---|"
    for (i = 1; i <= n_rows["ERROR_CODE"]; i++) {
        printf "| %s | %s | %s |\n", row["ERROR_CODE", i, 2], row["ERROR_CODE", i, 1],
            cell(row["ERROR_CODE", i, 3])
    }
}

function write_policies(    i, plane) {
    for (i = 1; i <= n_rows["POLICY"]; i++) {
        if (row["POLICY", i, 2] != plane) {
            plane = row["POLICY", i, 2]
            printf "%s## %s\n", i == 1 ? "" : "\n", plane
        }
        printf "\n### `%s`\n\n%s\n\n", row["POLICY", i, 1], row["POLICY", i, 14]
        print "| | |"
        print "|---|---|"
        printf "| default | %s |\n", cell(default_of(i))
        printf "| values | %s |\n", cell(allowed(i))
        printf "| can be set in | %s |\n", scopes_of(i)
        if (is_in_file(i)) {
            printf "| a change in the file applies | %s |\n", applies(i)
        }
        printf "| improves | %s |\n", cell(row["POLICY", i, 10])
        printf "| costs | %s |\n", cell(row["POLICY", i, 11])
        printf "| watch | %s |\n", cell(row["POLICY", i, 12])
        printf "| undo | %s |\n", cell(row["POLICY", i, 13])
    }
}

function write_policies_man(    i, plane) {
    for (i = 1; i <= n_rows["POLICY"]; i++) {
        if (!is_in_file(i)) {
            continue
        }
        if (row["POLICY", i, 2] != plane) {
            plane = row["POLICY", i, 2]
            printf ".SS %s\n", plane
        }
        printf ".TP\n.BR %s \" (\" %s )\n%s\n", troff(row["POLICY", i, 1]), troff("\"" \
            allowed(i) "\""), troff(row["POLICY", i, 14])
        printf "Default: %s.\nImproves: %s.\nCosts: %s.\nWatch: %s.\nUndo: %s.\n",
            troff(default_of(i)), troff(row["POLICY", i, 10]), troff(row["POLICY", i, 11]),
            troff(row["POLICY", i, 12]), troff(row["POLICY", i, 13])
        printf "A change in the file applies %s.\n", applies(i)
    }
}

# Breaks a text into comment lines of at most 98 columns.
function write_comment(text,    words, n, i, line) {
    n = split(text, words, " ")
    line = "#"
    for (i = 1; i <= n; i++) {
        if (length(line) + length(words[i]) + 1 > 98) {
            print line
            line = "#"
        }
        line = line " " words[i]
    }
    print line
}

function write_policies_conf(    i, plane, value) {
    for (i = 1; i <= n_rows["POLICY"]; i++) {
        if (!is_in_file(i)) {
            continue
        }
        if (row["POLICY", i, 2] != plane) {
            plane = row["POLICY", i, 2]
            printf "\n# ---- %s ----\n", plane
        }
        print ""
        write_comment(row["POLICY", i, 14])
        write_comment("Values: " allowed(i) ". A change applies " applies(i) ".")
        value = row["POLICY", i, 4]
        if (row["POLICY", i, 3] == "POLICY_IS_TEXT") {
            value = "'" value "'"
        }
        printf "#%s = %s\n", row["POLICY", i, 1], value
    }
}

function write_metrics(    i) {
    print "| metric | kind | what it tells |"
    print "|---|---|---|"
    for (i = 1; i <= n_rows["METRIC_ROW"]; i++) {
        printf "| `%s` | %s | %s |\n", metric_name(i), metric_kind(i),
            cell(row["METRIC_ROW", i, 4])
    }
}

function write_memory(    i) {
    print "| category | what it holds |"
    print "|---|---|"
    for (i = 1; i <= n_rows["MEMORY"]; i++) {
        printf "| `%s` | %s |\n", row["MEMORY", i, 2], row["MEMORY", i, 3]
    }
}

function write_faults(    i) {
    print "| fault point | what fails there |"
    print "|---|---|"
    for (i = 1; i <= n_rows["FAULT"]; i++) {
        printf "| `%s` | %s |\n", row["FAULT", i, 1], row["FAULT", i, 2]
    }
}

# Commands in a log: their name, their number, and what the table says last.
function write_commands(macro,    i) {
    print "| number | command | what it does |"
    print "|---|---|---|"
    for (i = 1; i <= n_rows[macro]; i++) {
        printf "| %s | %s | %s |\n", row[macro, i, 2], row[macro, i, 1],
            row[macro, i, n_arguments[macro, i]]
    }
}

# A view's columns are one argument: COLUMN("name", TYPE) COLUMN(...) ...
function write_views(    i, columns, parts) {
    for (i = 1; i <= n_rows["VIEW"]; i++) {
        printf "%s## SHOW %s\n\n%s\n\n| column | type |\n|---|---|\n", i == 1 ? "" : "\n",
            toupper(row["VIEW", i, 1]), row["VIEW", i, 2]
        columns = row["VIEW", i, 3]
        while (match(columns, /COLUMN\("[a-z_0-9]+", [A-Z]+\)/)) {
            split(substr(columns, RSTART + 8, RLENGTH - 9), parts, /", /)
            printf "| %s | %s |\n", parts[1], parts[2]
            columns = substr(columns, RSTART + RLENGTH)
        }
    }
}

# The keywords of one kind, in lines of at most 96 columns.
function write_keywords_of(reserved,    i, line, word) {
    for (i = 1; i <= n_rows["KEYWORD"]; i++) {
        if (row["KEYWORD", i, 3] != reserved) {
            continue
        }
        word = "`" row["KEYWORD", i, 1] "`"
        if (length(line) + length(word) + 1 > 96) {
            print line
            line = ""
        }
        line = line (line == "" ? "" : " ") word
    }
    print line
}

function write_keywords() {
    print "Reserved, a name only in double quotes:\n"
    write_keywords_of("true")
    print "\nUsable as names:\n"
    write_keywords_of("false")
}

# A function as it is called; FUNCTION and FORM have the same columns.
function write_function(macro, i,    takes) {
    takes = row[macro, i, 6]
    gsub(/[()]/, "", takes)
    if (row[macro, i, 5] == "MANY") takes = takes ", ..."
    gsub(/ALIKE|ORDERED/, "x", takes)
    gsub(/ANY/, "any", takes)
    return sprintf("| `%s(%s)` | %s | %s |", row[macro, i, 1], takes,
        row[macro, i, 4] ~ /ALIKE|ORDERED/ ? "as x" : row[macro, i, 4], cell(row[macro, i, 7]))
}

function write_functions(    i, j, lines, n) {
    print "| function | gives | what |"
    print "|---|---|---|"
    for (i = 1; i <= n_rows["FUNCTION"]; i++) {
        while (j < n_rows["FORM"] && row["FORM", j + 1, 1] < row["FUNCTION", i, 1]) {
            print write_function("FORM", ++j)
        }
        print write_function("FUNCTION", i)
    }
}

function write_aggregates(    i, takes) {
    print "| aggregate | gives | what |"
    print "|---|---|---|"
    for (i = 1; i <= n_rows["AGGREGATE"]; i++) {
        takes = row["AGGREGATE", i, 4]
        sub(/STAR/, "*", takes)
        sub(/ORDERED/, "x", takes)
        sub(/ANY/, "any", takes)
        printf "| `%s(%s)` | %s | %s |\n", row["AGGREGATE", i, 1], takes,
            row["AGGREGATE", i, 5] == "ORDERED" ? "as x" : row["AGGREGATE", i, 5],
            cell(row["AGGREGATE", i, 6])
    }
}

function write_operators(    i) {
    print "| operator | what it gives |"
    print "|---|---|"
    for (i = 1; i <= n_rows["OPERATOR"]; i++) {
        printf "| `%s` | %s |\n", row["OPERATOR", i, 1], cell(row["OPERATOR", i, 2])
    }
}

function write_part(part) {
    if (part == "messages") write_messages()
    else if (part == "types") write_types()
    else if (part == "errors") write_errors()
    else if (part == "policies") write_policies()
    else if (part == "policies-man") write_policies_man()
    else if (part == "policies-conf") write_policies_conf()
    else if (part == "metrics") write_metrics()
    else if (part == "memory") write_memory()
    else if (part == "faults") write_faults()
    else if (part == "keywords") write_keywords()
    else if (part == "views") write_views()
    else if (part == "functions") write_functions()
    else if (part == "aggregates") write_aggregates()
    else if (part == "operators") write_operators()
    else if (part == "shard-commands") write_commands("SHARD_COMMAND")
    else if (part == "pd-commands") write_commands("PD_COMMAND")
    else {
        printf "%s:%d: no generated part is called \"%s\"\n", FILENAME, FNR, part >"/dev/stderr"
        failed = 1
    }
}

# ---- the run ----

FILENAME ~ /\.def$/ {
    read_table()
    next
}

/BEGIN GENERATED [a-z-]+/ {
    print
    part = $0
    sub(/.*BEGIN GENERATED /, "", part)
    sub(/[^a-z-].*/, "", part)
    write_part(part)
    is_inside = 1
    next
}

/END GENERATED/ { is_inside = 0 }

!is_inside { print }

END {
    if (is_inside || pending ~ /[^ ]/) {
        print (is_inside ? "a generated part has no end" : "a row has no end: " pending) \
            >"/dev/stderr"
        failed = 1
    }
    exit failed
}
