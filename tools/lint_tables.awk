# Whether each row of each .def table is used, documented and tested.
#
#   docs.awk -v list=1 TABLE.def ... >LIST
#   awk -f lint_tables.awk LIST SOURCE ... PAGE ... TEST ...
#
# A row is used where a file in src/ names it, documented where a page in doc/ (or HACKING.md) does,
# and tested where a test or a regress file does, in the form that the macro's rule below gives; a
# macro without a rule is a violation too.
# Prints "file:line: what; what to do".

# The words that count for a row: as a page writes them, and as a test does.
function rule(macro, name, second,    lower) {
    lower = tolower(name)
    known = 1
    if (macro == "ERROR_CODE") {
        needs("src", "ERR_" name)
        needs("doc", second)
        needs("test", second " ERR_" name)
    } else if (macro == "POLICY") {
        needs("src", "POLICY_" name)
        needs("doc", name)
        needs("test", "set:" name " POLICY_" name)
    } else if (macro == "MESSAGE") {
        needs("doc", name)
        needs("test", "WIRE_" name)
    } else if (macro == "METRIC_ROW") {
        needs("src", "METRIC_" name)
        needs("doc", "vectrond_" name " vectrond_" name "_total vectrond_" name "_seconds" \
              " vectrond_" name "_microseconds vectrond_" name "_bytes")
        needs("test", name " METRIC_" name " vectrond_" name " vectrond_" name "_total")
    } else if (macro == "FAULT") {
        needs("src", "FAULT_" name)
        needs("doc", name)
        needs("test", "FAULT_" name " " name " " lower)
    } else if (macro == "MEMORY") {
        needs("src", "MEM_" name)
        needs("doc", lower)
        needs("test", "MEM_" name " MEM_COUNT")
    } else if (macro == "TYPE") {
        needs("doc", name)
        needs("test", "TYPE_" name)
    } else if (macro == "VIEW") {
        needs("doc", toupper(name))
        needs("test", "set:" name " set:" toupper(name))
    } else if (macro == "HELP") { # A statement: its first word will do.
        sub(/ .*/, "", name)
        needs("doc", name)
        needs("test", name)
    } else if (macro == "COMMAND") { # Of vsql.
        needs("src", "run_" second)
        if (name ~ /[a-z]/) { # Marks are no words; a manual page writes a backslash as \e.
            needs("doc", "e" name)
            needs("test", name)
        }
    } else if (macro == "SHARD_COMMAND") {
        needs("doc", name)
        needs("test", "SHARD_" name)
    } else if (macro == "PD_COMMAND") {
        needs("doc", name)
        needs("test", "PD_" name)
    } else if (macro == "FUNCTION" || macro == "FORM") { # Its C function, and calls of it.
        needs("src", (macro == "FORM" ? "form_" : "call_") second)
        needs("doc", name)
        needs("test", "call:" name)
    } else if (macro == "AGGREGATE") {
        needs("src", "add_" second)
        needs("doc", name)
        needs("test", "call:" name)
    } else if (macro == "OPERATOR") {
        needs("src", "operator_" name)
        needs("doc", name)
        needs("test", name)
    } else if (macro == "KEYWORD") {
        needs("doc", toupper(name) " " lower)
        needs("test", toupper(name) " " lower)
    } else if (macro == "HABIT") { # One of its words; marks are no words. The hint is its page.
        if (second ~ /[a-z]/) {
            needs("test", second " " toupper(second))
        }
    } else {
        known = 0
    }
    return known
}

# Any one of the words will do.
function needs(where, words,    parts, n, i) {
    if (where == "src") {
        is_in_source[n_rows] = 1
    } else if (where == "doc") {
        is_in_page[n_rows] = 1
    } else {
        is_in_test[n_rows] = 1
    }
    n = split(words, parts, " ")
    for (i = 1; i <= n; i++) {
        n_waiting[where, parts[i]]++
        waiting[where, parts[i], n_waiting[where, parts[i]]] = n_rows
    }
}

function found(where, word,    i) {
    for (i = 1; i <= n_waiting[where, word]; i++) {
        is_found[where, waiting[where, word, i]] = 1
    }
    delete n_waiting[where, word]
}

FNR == 1 {
    where = FILENAME ~ /^src\// ? "src" : FILENAME ~ /^doc\/|^HACKING/ ? "doc" : "test"
    is_list = ++n_files == 1
}

is_list {
    n = split($0, part, "\t")
    place[++n_rows] = part[4]
    row_name[n_rows] = part[1] " " part[2]
    if (!rule(part[1], part[2], part[3])) {
        printf "%s: no rule for %s; say in tools/lint_tables.awk how it is documented and tested\n",
            part[4], part[1]
    }
    next
}

{
    text = $0
    while (match(text, /[A-Za-z_0-9]+/)) {
        word = substr(text, RSTART, RLENGTH)
        rest = substr(text, RSTART + RLENGTH)
        if ((where, word) in n_waiting) {
            found(where, word)
        }
        if (("test", "call:" word) in n_waiting && where == "test" && rest ~ /^\(/) {
            found("test", "call:" word)
        }
        # A policy that is set, shown or reset, rather than a word that happens to be its name.
        if (("test", "set:" word) in n_waiting && where == "test" &&
            (rest ~ /^ *=/ || tolower(last) ~ /^(set|show|reset)$/)) {
            found("test", "set:" word)
        }
        last = word
        text = rest
    }
    last = ""
}

END {
    for (i = 1; i <= n_rows; i++) {
        if ((i in is_in_source) && !(("src", i) in is_found)) {
            printf "%s: %s is not used; a row is for what happens\n", place[i], row_name[i]
        }
        if ((i in is_in_page) && !(("doc", i) in is_found)) {
            printf "%s: %s is not documented; name it in doc/\n", place[i], row_name[i]
        }
        if ((i in is_in_test) && !(("test", i) in is_found)) {
            printf "%s: %s is not tested; name it in test/ or regress/\n", place[i], row_name[i]
        }
    }
}
