/* Text on a terminal: how wide UTF-8 is, and how values are shown in tables. */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "client/shell/edit_int.h"
#include "client/shell/shell_int.h"
#include "client/shell/text_int.h"

#include <string.h>
#include <wchar.h>

enum {
    SHOWN_ELEMENTS = 3,
    FULL_ELEMENTS_MAX = 6
}; /* Of a vector. */

bool text_is_plain_name(const char *name)
{
    bool is_plain = (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_';
    for (const char *c = name; is_plain && *c != '\0'; c++) {
        is_plain = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_';
    }
    for (size_t i = 0; is_plain && i < n_shell_keywords; i++) {
        is_plain = strcmp(name, shell_keywords[i]) != 0;
    }
    return is_plain;
}

void text_identifier(struct buf *out, const char *name)
{
    bool is_plain = text_is_plain_name(name);
    buf_printf(out, "%s", is_plain ? "" : "\"");
    for (; *name != '\0'; name++) {
        buf_printf(out, "%s%c", *name == '"' ? "\"" : "", *name);
    }
    buf_printf(out, "%s", is_plain ? "" : "\"");
}

/* The code point at @text, and its bytes; 0xfffd and 1 where it is not UTF-8. */
static uint32_t decode(const char *text, size_t bytes, size_t *used)
{
    const unsigned char *p = (const unsigned char *)text;
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 0; n < COUNT_OF(forms); n++) {
        if ((p[0] & forms[n].mask) != forms[n].lead || n + 1 > bytes) {
            continue;
        }
        uint32_t point = n == 0 ? p[0] : p[0] & (uint32_t)(0xff ^ forms[n].mask);
        size_t i = 1;
        while (i <= n && (p[i] & 0xc0) == 0x80) {
            point = point << 6 | (p[i++] & 0x3f);
        }
        if (i <= n || point < forms[n].least) {
            break;
        }
        *used = n + 1;
        return point;
    }
    *used = 1;
    return 0xfffd;
}

static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

/* How a control character is shown. */
static int escape_control(uint32_t point, char out[8])
{
    switch (point) {
    case '\n':
        return snprintf(out, 8, "\\n");
    case '\t':
        return snprintf(out, 8, "\\t");
    case '\r':
        return snprintf(out, 8, "\\r");
    default:
        return snprintf(out, 8, "\\x%02x", point);
    }
}

size_t text_next(const char *text, size_t bytes, unsigned *width)
{
    size_t used;
    uint32_t point = decode(text, bytes, &used);
    if (is_control(point)) {
        char shown[8];
        *width = (unsigned)escape_control(point, shown);
    } else {
        int columns = wcwidth((wchar_t)point);
        *width = columns < 0 ? 1 : (unsigned)columns;
    }
    return used;
}

unsigned text_width(const char *text, size_t bytes)
{
    unsigned total = 0, width;
    for (size_t at = 0; at < bytes; total += width) {
        at += text_next(text + at, bytes - at, &width);
    }
    return total;
}

void text_escape(struct buf *out, const char *text, size_t bytes)
{
    for (size_t at = 0, used; at < bytes; at += used) {
        uint32_t point = decode(text + at, bytes - at, &used);
        if (is_control(point)) {
            char shown[8];
            buf_bytes(out, shown, (size_t)escape_control(point, shown));
        } else {
            buf_bytes(out, text + at, used);
        }
    }
}

void text_value(struct buf *out, const vc_value *value, const char *text)
{
    if (value->type == VC_NULL) {
        return;
    }
    if (value->type != VC_VECTOR) {
        text_escape(out, text, strlen(text));
        return;
    }
    uint32_t dim = value->vector.dim;
    uint32_t shown = dim <= FULL_ELEMENTS_MAX ? dim : SHOWN_ELEMENTS;
    buf_u8(out, '[');
    for (uint32_t i = 0; i < shown; i++) {
        buf_printf(out, "%s", i == 0 ? "" : ", ");
        number_format(out, (double)value->vector.data[i], true);
    }
    if (shown < dim) {
        buf_printf(out, ", … %u", dim);
    }
    buf_u8(out, ']');
}
