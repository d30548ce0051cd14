/* The lines of EXPLAIN: "key: value" rows, or the members of one JSON object. */
#include "query/explain_int.h"
#include "query/plan_int.h"
#include "query/portal_int.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LINE_BYTES_MAX = 64 << 10
};

void explain_begin_member(struct explain *out, const char *key)
{
    if (out->is_json) {
        buf_printf(&out->text, "%s\"%s\": ", out->has_member ? ", " : "", key);
    } else {
        buf_printf(&out->text, "%s%s: ", out->group != NULL ? "  " : "", key);
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

void explain_access(struct explain *out)
{
    bool is_by_key = out->portal->plan->access.kind == ACCESS_KEYS;
    explain_text(out, "Plan", "%s", is_by_key ? "by key" : "scan");
    explain_filter(out);
}

void explain_filter(struct explain *out)
{
    struct portal *p = out->portal;
    const struct access *access = &p->plan->access;
    if (access->kind == ACCESS_KEYS) {
        explain_number(out, "Keys", (double)p->evaluator.sets[access->key_set].n);
    }
    if (access->shown != NULL) {
        struct buf shown;
        buf_init(&shown, MEM_STATEMENT, LINE_BYTES_MAX);
        print_expr(&shown, access->shown);
        buf_u8(&shown, 0);
        explain_text(out, "Filter", "%s", shown.failed ? "..." : (const char *)shown.data);
        out->text.failed = out->text.failed || (shown.failed && !shown.is_full);
        buf_fini(&shown);
    }
}

void explain_begin_group(struct explain *out, const char *name)
{
    if (out->is_json) {
        explain_begin_member(out, name);
        buf_u8(&out->text, '{');
        out->has_member = false;
    } else {
        buf_printf(&out->text, "%s:\n", name);
    }
    out->group = name;
}

void explain_end_group(struct explain *out)
{
    if (out->is_json) {
        buf_u8(&out->text, '}');
    }
    out->has_member = true;
    out->group = NULL;
}
