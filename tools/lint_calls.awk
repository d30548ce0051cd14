# Whether each folder's objects use only names of folders that src/LAYERS lets it see: what an
# include cannot show, since a door may bring another folder's door with it.
#
#   nm -A -P LIBRARY ..., each line behind its folder's name, into
#   awk -f lint_calls.awk src/LAYERS -
#
# Prints "folder object name owner" for each violation.

# Whether the header of an arrow that is for one door only declares @name.
function declares(header, name,    line) {
    if (!(header in text)) {
        text[header] = " "
        while ((getline line < ("src/" header)) > 0) {
            text[header] = text[header] line " "
        }
        close("src/" header)
    }
    return text[header] ~ ("[^A-Za-z_0-9]" name "[^A-Za-z_0-9]")
}

# Whether @folder sees one of those that define @name.
function may_use(folder, name,    n, arrows, i, owner) {
    if ((folder, name) in defines) {
        return 1
    }
    n = split(sees[folder], arrows, " ")
    for (i = 1; i <= n; i++) {
        owner = arrows[i]
        sub(/\/.*/, "", owner)
        if ((owner, name) in defines && (owner == arrows[i] || declares(arrows[i], name))) {
            return 1
        }
    }
    return 0
}

FILENAME ~ /LAYERS$/ {
    if ($2 == ":" && $1 !~ /^#/) {
        for (i = 3; i <= NF; i++) {
            sees[$1] = sees[$1] " " $i
        }
    }
    next
}

# folder library[object.o]: name type ...
$4 ~ /^[A-TV-Z]$/ {
    defines[$1, $3] = 1
    if (!($3 in owner_of)) { # The client's library has copies.
        owner_of[$3] = $1
    }
}
$4 == "U" {
    object = $2
    sub(/^.*\[/, "", object)
    sub(/\.o\]:$/, "", object)
    sub(/^.*-/, "", object) # Of a library with flags of its own.
    use[++n_uses] = $1 " " object " " $3
}

END {
    for (i = 1; i <= n_uses; i++) {
        split(use[i], part, " ")
        if (part[3] in owner_of && !may_use(part[1], part[3])) {
            print use[i], owner_of[part[3]]
        }
    }
}
