# What make lint asks of each file alone: the arrows, doors and homes of src/LAYERS, the calls that
# have a home, the order of includes, length, blanks, ladders of errors, and unfinished business.
#
#   awk -f lint_source.awk src/LAYERS FILE...      FILE as seen from the source directory
#
# Prints "file:line: what; what to do" for each violation.

function complain(text) {
    printf "%s:%d: %s\n", FILENAME, FNR, text
}

# "src/index/hnsw.c" -> "index/hnsw.c"; "test/unit/index/test_hnsw.c" -> "test/unit/index/..."
function inner(file) {
    sub(/^\.\//, "", file)
    sub(/^src\//, "", file)
    return file
}

# The folder whose rules hold for a file: that of src/, that which a unit test is for, or none.
function folder_of(file,    parts) {
    file = inner(file)
    if (file ~ /^test\/unit\//) {
        sub(/^test\/unit\//, "", file)
    } else if (file ~ /^(test|bench|doc|tools)\//) {
        return ""
    }
    split(file, parts, "/")
    return parts[1] in is_folder ? parts[1] : ""
}

# Whether a file stands in one of the homes: files ("base/mem.c") or folders ("client").
function is_at_home(file, homes,    parts, n, i) {
    file = inner(file)
    n = split(homes, parts, " ")
    for (i = 1; i <= n; i++) {
        if (file == parts[i] || index(file, parts[i] "/") == 1) {
            return 1
        }
    }
    return 0
}

# ---- src/LAYERS ----

function read_layers(    i, n, words) {
    if ($0 ~ /^[ \t]*(#.*)?$/) {
        return
    }
    n = split($0, words, /[ \t]+/)
    if (words[1] == "door") {
        for (i = 3; i <= n; i++) {
            door[words[i]] = words[2]
        }
    } else if (words[1] == "home") {
        n_homes++
        home_prefix[n_homes] = words[2]
        for (i = 3; i <= n; i++) {
            home_files[n_homes] = home_files[n_homes] " " words[i]
        }
    } else if (words[1] == "call") {
        for (i = 3; i <= n && (words[i] == "-" || words[i] ~ /\// || words[i] in is_folder); i++) {
            call_home[words[2]] = call_home[words[2]] " " words[i]
        }
        for (; i <= n; i++) {
            call_advice[words[2]] = call_advice[words[2]] " " words[i]
        }
        is_call[words[2]] = 1
    } else if (words[1] == "word") {
        for (i = 3; i <= n && (words[i] == "-" || words[i] ~ /\// || words[i] in is_folder); i++) {
            word_home[words[2]] = word_home[words[2]] " " words[i]
        }
        for (; i <= n; i++) {
            word_advice[words[2]] = word_advice[words[2]] " " words[i]
        }
    } else if (words[1] == "circle") {
        return # Of lint_circles.awk.
    } else if (words[2] == ":") {
        is_folder[words[1]] = 1
        for (i = 3; i <= n; i++) {
            sees[words[1], words[i]] = 1
        }
    } else {
        complain("not understood: a line is \"folder : ...\", door, home, call, word or circle")
    }
}

# ---- includes ----

function check_include(header, is_system,    target, i) {
    if (is_system) {
        for (i = 1; i <= n_homes; i++) {
            if (index(header, home_prefix[i]) == 1 && !is_at_home(FILENAME, home_files[i]) &&
                FILENAME !~ /^bench\//) {
                complain("<" header "> has its home in" home_files[i] "; go through its door")
            }
        }
        return
    }
    target = header
    if (!sub(/\/.*/, "", target)) {
        if (header != "config.h" && FILENAME ~ /^src\//) {
            complain("\"" header "\" has no folder; write it as seen from src/")
        }
        return
    }
    if (!first_include && FILENAME ~ /^src\/.*\.c$/ && target != folder) {
        complain("the first include is \"" header "\"; a file includes its own door first")
    }
    first_include = 1
    if (!(target in is_folder) || folder == "" || target == folder) {
        return
    }
    if (!((folder, target) in sees) && !((folder, header) in sees)) {
        complain(folder " may not see " target "; the arrows stand in src/LAYERS")
    } else if (!(header in door)) {
        complain("\"" header "\" is private to " target "; include its door")
    }
}

# A header is a door, a part that a door of its folder includes, or a private one: the folder's, or
# that of one of its parts.
function check_header_kind(file) {
    file = inner(file)
    if (file in door || file !~ /\.h$/ || FILENAME !~ /^src\//) {
        return
    }
    if (file !~ /_int\.h$/ && folder != "base") {
        complain("neither a door of src/LAYERS nor a private header of " folder " (x_int.h)")
    }
}

# ---- text ----

# The line without its comments and with its strings and characters emptied.
function code_of(line,    out, at) {
    gsub(/\\\\/, "", line)
    gsub(/\\"/, "", line)
    gsub(/\\'/, "", line)
    gsub(/'"'/, "''", line)
    gsub(/"[^"]*"/, "\"\"", line)
    gsub(/'[^']*'/, "''", line)
    out = ""
    while (line != "") {
        if (in_comment) {
            at = index(line, "*/")
            if (!at) {
                return out
            }
            in_comment = 0
            line = substr(line, at + 2)
        } else {
            at = index(line, "/*")
            if (index(line, "//") && (!at || index(line, "//") < at)) {
                return out substr(line, 1, index(line, "//") - 1)
            }
            if (!at) {
                return out line
            }
            out = out substr(line, 1, at - 1)
            in_comment = 1
            line = substr(line, at + 2)
        }
    }
    return out
}

function check_calls(code,    name, before, end) {
    while (match(code, /[A-Za-z_][A-Za-z_0-9]*\(/)) {
        name = substr(code, RSTART, RLENGTH - 1)
        before = RSTART > 1 ? substr(code, RSTART - 1, 1) : ""
        end = RSTART + RLENGTH
        if (name in is_call && before != "." && before != ">" && FILENAME ~ /^src\// &&
            !is_at_home(FILENAME, call_home[name])) {
            complain(name "() is not used here;" call_advice[name])
        }
        code = substr(code, end)
    }
}

function check_words(code,    word) {
    for (word in word_home) {
        if (index(code, word) && code ~ ("(^|[^A-Za-z_0-9])" word "([^A-Za-z_0-9]|$)") &&
            FILENAME ~ /^src\// && !is_at_home(FILENAME, word_home[word])) {
            complain(word " is not used here;" word_advice[word])
        }
    }
}

# One dialect of errors: a function that asks again and again whether all went well so far should
# have returned.
function check_ladder(code) {
    if (code ~ /^{/) {
        n_rungs = 0
        function_line = FNR
    }
    n_rungs += gsub(/== ERR_OK/, "", code)
    if (code ~ /^}/ && n_rungs > 3 && FILENAME ~ /^src\//) {
        printf "%s:%d: asks %d times for ERR_OK; at most 3: return early, or goto out\n",
            FILENAME, function_line, n_rungs
        n_rungs = 0
    }
}

function end_file() {
    if (last_file == "" || last_file ~ /LAYERS$/) {
        return
    }
    if (lines > 800) {
        printf "%s:%d: %d lines; at most 800: split it by verb\n", last_file, lines, lines
    }
}

FNR == 1 {
    end_file()
    last_file = FILENAME
    in_comment = 0
    n_rungs = 0
    first_include = 0
    folder = folder_of(FILENAME)
}

{ lines = FNR }

FILENAME ~ /LAYERS$/ {
    read_layers()
    next
}

FNR == 1 {
    check_header_kind(FILENAME)
    if ($0 !~ /^(\/\/|\/\*|#!|# |%include)/) {
        complain("no opening comment; the first line says in a sentence what the file is")
    }
}

/[ \t]$/ { complain("trailing blanks; remove them") }
/\r$/ { complain("a carriage return; lines end in a newline alone") }
/^ *\t/ && FILENAME ~ /\.(c|h|y|def|awk)$/ { complain("a tab; indent with 4 spaces") }
/(^|[^A-Za-z])(TO[D]O|FIX[M]E|XX[X])([^A-Za-z]|$)/ {
    complain("unfinished business; finish it, or write an issue")
}
length($0) > 100 && FILENAME !~ /\.def$/ && !/^#.*\\$/ {
    complain(length($0) " columns; at most 100")
}

/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
    header = $0
    sub(/^[^<"]*/, "", header)
    is_system = header ~ /^</
    header = substr(header, 2)
    sub(/[>"].*$/, "", header)
    check_include(header, is_system)
    next
}

{
    code = code_of($0)
    check_calls(code)
    check_words(code)
    check_ladder(code)
}

END { end_file() }
