/* The lines of EXPLAIN: "key: value" rows, or the members of one JSON object. */
#include "query/explain_int.h"
#include "query/portal_int.h"

#include "expr/aggregate.h"
#include "plan/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LINE_BYTES_MAX = 64 << 10
};

static void indent(struct explain *out)
{
    for (unsigned i = 0; i < out->depth; i++) {
        buf_printf(&out->text, i == 0 ? "  " : "   ");
    }
}

void explain_begin_member(struct explain *out, const char *key)
{
    if (out->is_json) {
        buf_printf(&out->text, "%s\"%s\": ", out->has_member ? ", " : "", key);
    } else {
        indent(out);
        buf_printf(&out->text, "%s: ", key);
    }
    out->has_member = true;
}

void explain_string(struct buf *b, const char *text)
{
    buf_u8(b, '"');
    for (const char *c = text; *c != 0; c++) {
        if (*c == '"' || *c == '\\') {
            buf_printf(b, "\\%c", *c);
        } else if ((unsigned char)*c < 0x20) {
            buf_printf(b, "\\u%04x", (unsigned)*c);
        } else {
            buf_u8(b, (uint8_t)*c);
        }
    }
    buf_u8(b, '"');
}

static void end_member(struct explain *out)
{
    if (!out->is_json) {
        buf_u8(&out->text, '\n');
    }
}

void explain_text(struct explain *out, const char *key, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    explain_begin_member(out, key);
    if (out->is_json) {
        explain_string(&out->text, value);
    } else {
        buf_bytes(&out->text, value, strlen(value));
    }
    end_member(out);
}

void explain_number(struct explain *out, const char *key, double value)
{
    bool is_whole = fabs(value) < 1e15 && value == floor(value);
    explain_begin_member(out, key);
    buf_printf(&out->text, is_whole ? "%.0f" : "%.4g", value);
    end_member(out);
}

/* ---- what a statement has ---- */

static void begin_shown(struct buf *shown)
{
    buf_init(shown, MEM_STATEMENT, LINE_BYTES_MAX);
}

static void end_shown(struct explain *out, const char *key, struct buf *shown)
{
    buf_u8(shown, 0);
    explain_begin_member(out, key);
    const char *text = shown->failed ? "..." : (const char *)shown->data;
    if (out->is_json) {
        explain_string(&out->text, text);
    } else {
        buf_bytes(&out->text, text, strlen(text));
    }
    end_member(out);
    out->text.failed = out->text.failed || (shown->failed && !shown->is_full);
    buf_fini(shown);
}

void explain_expr(struct explain *out, const char *key, const struct expr *e)
{
    explain_exprs(out, key, &e, 1);
}

void explain_exprs(struct explain *out, const char *key, const struct expr *const *items, size_t n)
{
    struct buf shown;
    begin_shown(&shown);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&shown, i > 0 ? ", " : "");
        print_expr(&shown, items[i]);
    }
    end_shown(out, key, &shown);
}

void explain_order(struct explain *out, const char *key, const struct order *items, size_t n)
{
    struct buf shown;
    begin_shown(&shown);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&shown, i > 0 ? ", " : "");
        print_order(&shown, &items[i]);
    }
    end_shown(out, key, &shown);
}

void explain_calls(struct explain *out, const char *key, const struct aggregate_call *items,
                   size_t n)
{
    struct buf shown;
    begin_shown(&shown);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&shown, i > 0 ? ", " : "");
        print_expr(&shown, items[i].shown);
    }
    end_shown(out, key, &shown);
}

void explain_bytes(struct explain *out, const char *key, const char *text, size_t bytes)
{
    struct buf shown;
    begin_shown(&shown);
    buf_bytes(&shown, text, bytes);
    end_shown(out, key, &shown);
}

void explain_filter(struct explain *out)
{
    const struct portal *p = out->portal;
    const struct access *access = &p->plan->access;
    if (access->kind == ACCESS_KEYS) {
        explain_number(out, "Keys", (double)p->evaluator.sets[access->key_set].n);
    }
    if (access->shown != NULL) {
        explain_expr(out, "Filter", access->shown);
    }
}

/* ---- groups of lines ---- */

static void begin_object(struct explain *out)
{
    if (out->is_json) {
        buf_u8(&out->text, '{');
        out->has_member = false;
    }
    out->depth++;
}

static void end_object(struct explain *out)
{
    if (out->is_json) {
        buf_u8(&out->text, '}');
    }
    out->has_member = true;
    out->depth--;
}

void explain_begin_group(struct explain *out, const char *name)
{
    explain_begin_member(out, name);
    if (!out->is_json) {
        out->text.bytes -= out->text.failed ? 0 : 1; /* The blank. */
    }
    end_member(out);
    begin_object(out);
}

void explain_end_group(struct explain *out)
{
    end_object(out);
}

static void put_measure(struct explain *out, const struct explain_measure *m)
{
    if (out->is_json) {
        explain_number(out, "Rows given", (double)m->rows);
        explain_number(out, "Milliseconds", (double)m->us / 1000);
        explain_number(out, "Work", (double)m->work);
    } else {
        buf_printf(&out->text, " (rows %llu, %.3f ms, work %llu)", (unsigned long long)m->rows,
                   (double)m->us / 1000, (unsigned long long)m->work);
    }
}

void explain_begin_operator(struct explain *out, const char *name,
                            const struct explain_measure *measure)
{
    bool is_root = out->depth == 0;
    if (out->is_json) {
        explain_begin_member(out, is_root ? "Plan" : "Input");
        begin_object(out);
        explain_text(out, "Operator", "%s", name);
    } else {
        indent(out);
        buf_printf(&out->text, "%s%s", is_root ? "Plan: " : "-> ", name);
    }
    if (measure != NULL) {
        put_measure(out, measure);
    }
    if (!out->is_json) {
        end_member(out);
        begin_object(out);
    }
}

void explain_end_operator(struct explain *out)
{
    end_object(out);
}
