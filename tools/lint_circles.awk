# Circles of files: files of one folder whose objects use one another's names in a ring, directly or
# over others.  None of them can be read, tested or moved without all others.
#
#   the sources' names, and nm -g -A -P OBJECT ..., with "folder/file" as object, into
#   awk -f lint_circles.awk src/LAYERS -
#
# Prints "file name text" for each circle that src/LAYERS does not allow, with the shortest ring in
# it, and "src/LAYERS line text" for each one allowed there that is none.  In src/LAYERS:
#
#   circle FOLDER FILE ... : REASON       FILE without its folder and its ending, in their order

function folder_of(file) {
    sub(/\/.*/, "", file)
    return file
}

function inner(file) {
    sub(/^[^\/]*\//, "", file)
    return file
}

FILENAME ~ /LAYERS$/ {
    if ($1 == "circle") {
        sub(/^circle[ \t]+/, "")
        sub(/[ \t]+:.*/, "")
        gsub(/[ \t]+/, " ")
        allowed_at[$0] = FNR
    }
    next
}

NF == 1 {
    sub(/^src\//, "")
    sub(/\.[cy]$/, "")
    files[++n_files] = $1
    is_file[$1] = 1
    next
}
# An object that is left of a file which has gone says nothing.
$1 in is_file {
    is_built[folder_of($1)] = 1
}
$1 in is_file && $3 ~ /^[A-TV-Z]$/ {
    definer[folder_of($1), $2] = $1
}
$1 in is_file && $3 == "U" {
    use[++n_uses] = $1 " " $2
}

function add_arrows(    i, part, owner) {
    for (i = 1; i <= n_uses; i++) {
        split(use[i], part, " ")
        if ((folder_of(part[1]), part[2]) in definer) {
            owner = definer[folder_of(part[1]), part[2]]
            if (owner != part[1] && !((part[1], owner) in name_of)) {
                name_of[part[1], owner] = part[2]
                targets[part[1]] = targets[part[1]] " " owner
            }
        }
    }
}

# From @start along the arrows, nearest first: reaches[start, file], and came_from[] of this walk.
function walk(start,    queue, head, tail, next_files, n, i) {
    split("", came_from)
    queue[tail = 1] = start
    for (head = 1; head <= tail; head++) {
        n = split(targets[queue[head]], next_files, " ")
        for (i = 1; i <= n; i++) {
            if (!(next_files[i] in came_from)) {
                came_from[next_files[i]] = queue[head]
                reaches[start, next_files[i]] = 1
                queue[++tail] = next_files[i]
            }
        }
    }
}

# The shortest ring over @start, as text; ring_length is how many files it has.
function ring_over(start,    to, from, text) {
    walk(start)
    ring_length = 0
    to = start
    do {
        from = came_from[to]
        text = (ring_length ? ", " : "") text
        text = inner(from) " -> " inner(to) " (" name_of[from, to] ")" text
        ring_length++
        first_arrow = from " " name_of[from, to]
        to = from
    } while (to != start)
    return text
}

# What is to be said of the circle that @file is in.
function tell(file,    i, members, n_members, names, text, ring, best, where) {
    for (i = 1; i <= n_files; i++) {
        if (reaches[file, files[i]] && reaches[files[i], file]) {
            is_told[files[i]] = 1
            members[++n_members] = files[i]
            names = names " " inner(files[i])
        }
    }
    names = folder_of(file) names
    if (names in allowed_at) {
        is_there[names] = 1
        return
    }
    for (i = 1; i <= n_members; i++) {
        ring = ring_over(members[i])
        if (!best || ring_length < best) {
            best = ring_length
            text = ring
            where = first_arrow
        }
    }
    print where, "a circle of " n_members " files (" names "): " text "; move what is used to" \
        " the file that is below"
}

END {
    add_arrows()
    for (i = 1; i <= n_files; i++) {
        walk(files[i])
    }
    for (i = 1; i <= n_files; i++) {
        if (reaches[files[i], files[i]] && !is_told[files[i]]) {
            tell(files[i])
        }
    }
    for (names in allowed_at) {
        folder = names
        sub(/ .*/, "", folder)
        if (is_built[folder] && !is_there[names]) {
            print "src/LAYERS", allowed_at[names], "there is no such circle; take the line out"
        }
    }
}
