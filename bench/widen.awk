# Columns to be filtered by, behind id and vector: id,"[v]" becomes id,"[v]",n,tag,likeness.
#
#     awk -f bench/widen.awk REFERENCE.csv ROWS.csv
#
# n is spread evenly over 0 .. 99,999; tags "t50" to "t.01" are each had by so many percent of the
# rows; likeness is the cosine with the first row of REFERENCE.csv.
BEGIN {
    FS = "\""
    split("50 20 10 5 2 1 .5 .2 .1 .05 .01", share, " ")
}
function vector(text, out) { return split(substr(text, 2, length(text) - 2), out, ",") }
function tag_of(n,    i, end) {
    for (i = 1; i in share; i++) {
        end += share[i] * 1000
        if (n < end) return "t" share[i]
    }
    return "rest"
}
NR == FNR {
    dim = vector($2, reference)
    for (i = 1; i <= dim; i++) length_reference += reference[i] ^ 2
    next
}
{
    n = ($1 + 0) * 7919 % 100000
    vector($2, v)
    product = squares = 0
    for (i = 1; i <= dim; i++) {
        product += v[i] * reference[i]
        squares += v[i] ^ 2
    }
    printf "%s,%d,%s,%.9g\n", $0, n, tag_of(n), product / sqrt(squares * length_reference)
}
