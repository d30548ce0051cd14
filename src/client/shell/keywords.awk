# keywords.def of src/parser, functions.def and aggregates.def of src/expr -> the words that vsql
# completes.
BEGIN {
    print "/* Made from the tables of keywords, functions and aggregates by src/client/shell/keywords.awk. */"
    print "#include \"client/shell/edit_int.h\"\n"
    print "const char *const shell_keywords[] = {"
}
/^KEYWORD\(/ {
    split($0, part, "\"")
    printf "    \"%s\",\n", part[2]
    n++
}
/^(FUNCTION|FORM|AGGREGATE)\(/ {
    split($0, part, /[(,]/)
    if (part[2] != last) {
        functions = functions "    \"" part[2] "\",\n"
        n_functions++
    }
    last = part[2]
}
END {
    print "};"
    printf "const size_t n_shell_keywords = %d;\n\n", n
    printf "const char *const shell_functions[] = {\n%s};\n", functions
    printf "const size_t n_shell_functions = %d;\n", n_functions
}
