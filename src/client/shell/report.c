/* Errors as a person reads them: where in the text, why, and what to do.
 *
 *     ERROR:  syntax error at or near "FORM"
 *     LINE 1: SELECT id FORM docs
 *                       ^
 *     HINT:  ... */
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <stdlib.h>
#include <string.h>

/* Columns of a line that are shown before and behind the place that is wrong. */
enum {
    SHOWN_BEFORE = 50,
    SHOWN_BEHIND = 25,
    REPORT_BYTES_MAX = 1 << 20
};

/* Begin of the character that is @columns before @at, not before @begin. */
static size_t step_back(const char *text, size_t begin, size_t at, unsigned columns)
{
    unsigned width = text_width(text + begin, at - begin);
    while (width > columns) {
        unsigned one;
        begin += text_next(text + begin, at - begin, &one);
        width -= one;
    }
    return begin;
}

static size_t step_on(const char *text, size_t at, size_t end, unsigned columns)
{
    unsigned width = 0;
    while (at < end) {
        unsigned one;
        size_t used = text_next(text + at, end - at, &one);
        if (width + one > columns) {
            break;
        }
        width += one;
        at += used;
    }
    return at;
}

/* Control characters become blanks, so that the caret stands right. */
static void put_plain(struct buf *out, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        buf_u8(out, (unsigned char)text[i] < 0x20 ? ' ' : (uint8_t)text[i]);
    }
}

static unsigned plain_width(const char *text, size_t bytes)
{
    unsigned total = 0, width;
    for (size_t at = 0, used; at < bytes; at += used) {
        used = text_next(text + at, bytes - at, &width);
        total += (unsigned char)text[at] < 0x20 ? 1 : width;
    }
    return total;
}

void report_position(struct buf *out, const char *vql, size_t position)
{
    size_t bytes = strlen(vql);
    if (position == 0 || position > bytes + 1) {
        return;
    }
    size_t at = position - 1, begin = 0;
    unsigned line = 1;
    for (size_t i = 0; i < at; i++) {
        if (vql[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    size_t end = at + strcspn(vql + at, "\n");
    size_t from = step_back(vql, begin, at, SHOWN_BEFORE);
    size_t to = step_on(vql, at, end, SHOWN_BEHIND);
    /* A few more characters are not worth the dots. */
    to = end - to <= 3 ? end : to;
    from = from - begin <= 3 ? begin : from;
    char lead[32];
    int lead_bytes = snprintf(lead, sizeof(lead), "LINE %u: %s", line, from > begin ? "..." : "");
    buf_bytes(out, lead, (size_t)lead_bytes);
    put_plain(out, vql + from, to - from);
    buf_printf(out, "%s\n", to < end ? "..." : "");
    buf_printf(out, "%*s^\n", lead_bytes + (int)plain_width(vql + from, at - from), "");
}

/* The lines below the first. */
static void put_details(struct buf *out, const vc_result *result, const char *vql, bool is_verbose)
{
    report_position(out, vql, strtoul(vc_error_field(result, VC_FIELD_POSITION), NULL, 10));
    static const struct {
        vc_field field;
        const char *title;
        bool is_verbose_only;
    } fields[] = {{VC_FIELD_DETAIL, "DETAIL", false},
                  {VC_FIELD_HINT, "HINT", false},
                  {VC_FIELD_COLLECTION, "COLLECTION", true},
                  {VC_FIELD_COLUMN, "COLUMN", true},
                  {VC_FIELD_POLICY, "POLICY", true}};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const char *text = vc_error_field(result, fields[i].field);
        if (text[0] != '\0' && (is_verbose || !fields[i].is_verbose_only)) {
            buf_printf(out, "%s:  %s\n", fields[i].title, text);
        }
    }
}

static void put_report(struct buf *out, const vc_result *result, const char *vql, bool is_verbose,
                       bool is_terse)
{
    const char *severity = vc_error_field(result, VC_FIELD_SEVERITY);
    buf_printf(out, "%s:  %s%s%s\n", severity[0] == '\0' ? "ERROR" : severity,
               is_verbose ? vc_error_field(result, VC_FIELD_SQLSTATE) : "", is_verbose ? ": " : "",
               result == NULL ? "out of memory" : vc_error_field(result, VC_FIELD_MESSAGE));
    if (!is_terse) {
        put_details(out, result, vql, is_verbose);
    }
}

/* For \errverbose. */
static void remember_error(struct shell *shell, const vc_result *result, const char *vql)
{
    struct buf text;
    buf_init(&text, MEM_GENERAL, REPORT_BYTES_MAX);
    put_report(&text, result, vql, true, false);
    buf_u8(&text, '\0');
    free(shell->last_error);
    shell->last_error = text.failed ? NULL : strdup((const char *)text.data);
    buf_fini(&text);
}

void report_result(struct shell *shell, const vc_result *result, const char *vql)
{
    const char *verbosity = vars_get(shell->vars, "VERBOSITY");
    bool is_verbose = verbosity != NULL && strcmp(verbosity, "verbose") == 0;
    bool is_terse = verbosity != NULL && strcmp(verbosity, "terse") == 0;
    fflush(shell->out);
    if (shell->source != NULL && shell->source->name != NULL) {
        fprintf(stderr, "vsql:%s:%llu: ", shell->source->name,
                (unsigned long long)shell->source->line);
    }
    struct buf text;
    buf_init(&text, MEM_GENERAL, REPORT_BYTES_MAX);
    put_report(&text, result, vql, is_verbose, is_terse);
    if (text.bytes > 0) {
        fwrite(text.data, 1, text.bytes, stderr);
    }
    buf_fini(&text);
    if (vc_result_state(result) == VC_ERROR) {
        remember_error(shell, result, vql);
    }
}
