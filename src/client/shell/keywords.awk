# src/parser/keywords.def -> the words that vsql completes.
BEGIN {
    print "/* Made from src/parser/keywords.def by src/client/shell/keywords.awk. */"
    print "#include \"client/shell/shell_int.h\"\n"
    print "const char *const shell_keywords[] = {"
}
/^KEYWORD\(/ {
    split($0, part, "\"")
    printf "    \"%s\",\n", part[2]
    n++
}
END {
    print "};"
    printf "const size_t n_shell_keywords = %d;\n", n
}
