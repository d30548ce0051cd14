# One set's curves as an SVG: recall against QPS on one thread.
#
#   awk -f bench/index/plot.awk -v set=words100 curves.tsv > words100.svg
#
# Recall is drawn by -log10(1 - recall), so that each halving of what is missed is as wide; QPS by
# its logarithm.  Points below a recall of 0.8 are left out.
BEGIN {
    FS = "\t"
    split("#0b6e4f #c1121f #1d3557 #e09f3e #6a4c93 #457b9d", colours, " ")
    split("0.8 0.85 0.9 0.95 0.98 0.99 0.995 0.999", recalls, " ")
    left = 78; right = 30; top = 62; bottom = 56; width = 860; height = 520
    qps_least = 1e12
}

FNR == 1 {
    for (i = 1; i <= NF; i++) column[$i] = i
    next
}

$column["set"] == set && $column["threads"] == 1 && $column["recall"] >= 0.8 {
    library = $column["library"]
    if (!(library in n)) names[++n_names] = library
    i = ++n[library]
    recall_of[library, i] = $column["recall"]
    qps_of[library, i] = qps = $column["qps"]
    if (qps < qps_least) qps_least = qps
    if (qps > qps_most) qps_most = qps
    about = $column["rows"] " rows x " $column["dim"] ", " $column["metric"] ", one thread; " \
        $column["cpu"] "; commit " $column["commit"]
}

function log10(x) { return log(x) / log(10) }
function x_of(recall) {
    recall = recall > 0.9993 ? 0.9993 : recall
    return left + (width - left - right) * (-log10(1 - recall) - x_low) / (x_high - x_low)
}
function y_of(qps) {
    return height - bottom - (height - top - bottom) * (log10(qps) - y_low) / (y_high - y_low)
}
function text(x, y, anchor, size, colour, words) {
    gsub(/&/, "\\&amp;", words)
    gsub(/</, "\\&lt;", words)
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" font-size=\"%d\" fill=\"%s\">%s</text>\n",
        x, y, anchor, size, colour, words
}
function line(x1, y1, x2, y2, colour) {
    printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
        x1, y1, x2, y2, colour
}
function thousands(x) { return x >= 1000 ? x / 1000 " k" : x "" }

function draw_axes(    i, power, step, qps) {
    for (i = 1; i in recalls; i++) {
        line(x_of(recalls[i]), top, x_of(recalls[i]), height - bottom, "#e4e4e4")
        text(x_of(recalls[i]), height - bottom + 18, "middle", 12, "#444", recalls[i])
    }
    for (power = int(y_low) - 1; power <= y_high; power++) {
        for (step = 1; step <= 5; step += step == 2 ? 3 : 1) {
            if (step == 3 || step == 4) continue
            qps = step * 10 ^ power
            if (log10(qps) < y_low - 1e-9 || log10(qps) > y_high + 1e-9) continue
            line(left, y_of(qps), width - right, y_of(qps), step == 1 ? "#c8c8c8" : "#e9e9e9")
            text(left - 8, y_of(qps) + 4, "end", 12, "#444", thousands(qps))
        }
    }
    text((left + width - right) / 2, height - 14, "middle", 13, "#222", "recall@10")
    printf "<text transform=\"translate(20 %.1f) rotate(-90)\" text-anchor=\"middle\" " \
        "font-size=\"13\" fill=\"#222\">queries a second of CPU</text>\n", (top + height - bottom) / 2
}

function draw_curve(library, colour,    i, x, y, points) {
    for (i = 1; i <= n[library]; i++) {
        points = points sprintf("%.1f,%.1f ", x_of(recall_of[library, i]), y_of(qps_of[library, i]))
    }
    printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\" " \
        "stroke-linejoin=\"round\"/>\n", points, colour
    for (i = 1; i <= n[library]; i++) {
        x = x_of(recall_of[library, i])
        y = y_of(qps_of[library, i])
        printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\"><title>%s: recall %.4f, " \
            "%.0f QPS</title></circle>\n", x, y, colour, library, recall_of[library, i],
            qps_of[library, i]
    }
}

function draw_legend(    i, y) {
    printf "<rect x=\"%d\" y=\"%d\" width=\"170\" height=\"%d\" fill=\"white\" stroke=\"#d0d0d0\"/>\n",
        width - right - 182, top + 10, 14 + 20 * n_names
    for (i = 1; i <= n_names; i++) {
        y = top + 10 + 20 * i
        printf "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\"/>\n",
            width - right - 172, y - 4, width - right - 146, y - 4, colours[i]
        text(width - right - 138, y, "start", 13, "#222", names[i])
    }
}

END {
    if (n_names == 0) {
        print "plot.awk: no points of " set " with a recall of 0.8" >"/dev/stderr"
        qps_least = 1; qps_most = 10
    }
    x_low = -log10(1 - 0.79)
    x_high = -log10(1 - 0.9993)
    y_low = log10(qps_least / 1.3)
    y_high = log10(qps_most * 1.3)
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" " \
        "font-family=\"system-ui, sans-serif\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n",
        width, height, width, width, height
    text(left, 26, "start", 18, "#111", set)
    text(left, 46, "start", 12, "#555", about)
    draw_axes()
    for (i = 1; i <= n_names; i++) draw_curve(names[i], colours[i])
    draw_legend()
    print "</svg>"
}
