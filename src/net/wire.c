/* The codecs of the wire protocol, made from net/messages.def and the layouts drawn in net/wire.h.
 *
 * Writers append to a buf, whose failure is sticky: encode a whole batch, then ask once.  Readers
 * take exactly one payload and refuse both a byte too few and a byte too many, so that a change of
 * a layout can never be read as the old one by accident.  BIND, ROW and ROW_DESCRIPTION end in a
 * list that the caller reads member by member; it asks reader_done at the end.
 *
 * Needs no event loop and no allocator: libvclient links it as it stands. */
#include "net/wire.h"

#include <stdio.h>
#include <string.h>

_Static_assert(WIRE_HEADER_BYTES == sizeof(uint8_t) + sizeof(uint32_t), "u8 type, u32 bytes");

/* ---- the table ---- */

enum row_index {
#define MESSAGE(name, letter, from, fields, text) ROW_##name,
#include "net/messages.def"
#undef MESSAGE
    ROW_COUNT
};

static const struct wire_row rows[] = {
#define MESSAGE(name, letter, from, fields, text) {#name, letter, from, fields, text},
#include "net/messages.def"
#undef MESSAGE
};
_Static_assert(COUNT_OF(rows) == ROW_COUNT, "a row a message");

/* Row number + 1 by letter; 0 where no message has the letter. */
static const uint8_t row_of_letter[256] = {
#define MESSAGE(name, letter, from, fields, text) [letter] = ROW_##name + 1,
#include "net/messages.def"
#undef MESSAGE
};

const struct wire_row *wire_rows(size_t *n)
{
    *n = ROW_COUNT;
    return rows;
}

const struct wire_row *wire_find(uint8_t letter)
{
    uint8_t found = row_of_letter[letter];
    return found == 0 ? NULL : &rows[found - 1];
}

/* ---- frames ---- */

size_t wire_begin(struct buf *b, enum wire_type type)
{
    size_t begun_at = b->bytes;
    uint8_t *header = buf_reserve(b, WIRE_HEADER_BYTES);
    if (header != NULL) {
        header[0] = (uint8_t)type;
        le_put_u32(header + 1, 0);
        buf_commit(b, WIRE_HEADER_BYTES);
    }
    return begun_at;
}

void wire_end(struct buf *b, size_t begun_at)
{
    if (b->failed) {
        return;
    }
    CHECK(b->bytes >= begun_at + WIRE_HEADER_BYTES);
    size_t payload_bytes = b->bytes - begun_at - WIRE_HEADER_BYTES;
    if (payload_bytes > UINT32_MAX) {
        b->failed = b->is_full = true;
        return;
    }
    buf_patch_u32(b, begun_at + 1, (uint32_t)payload_bytes);
}

enum wire_status wire_parse(const uint8_t *data, size_t bytes, size_t payload_bytes_max,
                            struct wire_frame *out, size_t *need_bytes)
{
    if (bytes < WIRE_HEADER_BYTES) {
        *need_bytes = WIRE_HEADER_BYTES;
        return WIRE_NEED_MORE;
    }
    out->type = data[0];
    out->payload = data + WIRE_HEADER_BYTES;
    out->payload_bytes = le_get_u32(data + 1);
    *need_bytes = WIRE_HEADER_BYTES + (size_t)out->payload_bytes;
    if (out->payload_bytes > payload_bytes_max) {
        return WIRE_TOO_LARGE;
    }
    return bytes < *need_bytes ? WIRE_NEED_MORE : WIRE_FRAME;
}

/* ---- parts ---- */

static void write_str(struct buf *b, struct wire_str s)
{
    buf_str(b, s.data, s.bytes);
}

static void write_cstr(struct buf *b, const char *text)
{
    buf_str(b, text, strlen(text));
}

static struct wire_str read_str(struct reader *r)
{
    struct wire_str s = {0};
    s.data = reader_str(r, &s.bytes);
    return s;
}

/* u16 n, u8 type xn.  A number that names no type fails the reader. */
static const uint8_t *read_types(struct reader *r, uint16_t *n)
{
    *n = reader_u16(r);
    const uint8_t *types = reader_bytes(r, *n);
    for (uint16_t i = 0; !r->failed && i < *n; i++) {
        if (types[i] >= TYPE_COUNT) {
            r->failed = true;
        }
    }
    return r->failed ? NULL : types;
}

static void write_types(struct buf *b, const uint8_t *types, uint16_t n)
{
    buf_u16(b, n);
    buf_bytes(b, types, n);
}

void wire_write_empty(struct buf *b, enum wire_type type)
{
    wire_end(b, wire_begin(b, type));
}

/* ---- opening a session ---- */

void wire_write_startup(struct buf *b, const struct wire_startup *m)
{
    CHECK(m->n_options <= WIRE_OPTIONS_MAX);
    size_t begun_at = wire_begin(b, WIRE_STARTUP);
    buf_u32(b, m->magic);
    buf_u16(b, m->major);
    buf_u16(b, m->minor);
    buf_u16(b, m->n_options);
    for (uint16_t i = 0; i < m->n_options; i++) {
        write_str(b, m->options[i].name);
        write_str(b, m->options[i].value);
    }
    wire_end(b, begun_at);
}

bool wire_read_startup(struct reader *r, struct wire_startup *m)
{
    m->magic = reader_u32(r);
    m->major = reader_u16(r);
    m->minor = reader_u16(r);
    m->n_options = 0;
    if (r->failed || m->magic != WIRE_MAGIC) {
        return false;
    }
    if (m->major != WIRE_VERSION_MAJOR) {
        return true; /* Only magic and version mean the same in every version. */
    }
    uint16_t n = reader_u16(r);
    if (n > WIRE_OPTIONS_MAX) {
        return false;
    }
    for (uint16_t i = 0; i < n; i++) {
        m->options[i].name = read_str(r);
        m->options[i].value = read_str(r);
    }
    m->n_options = n;
    return reader_done(r);
}

void wire_write_auth(struct buf *b, uint8_t kind)
{
    size_t begun_at = wire_begin(b, WIRE_AUTH);
    buf_u8(b, kind);
    wire_end(b, begun_at);
}

bool wire_read_auth(struct reader *r, uint8_t *kind)
{
    *kind = reader_u8(r);
    return !r->failed; /* Kinds other than 0 may carry more. */
}

void wire_write_key(struct buf *b, enum wire_type type, const struct wire_key *m)
{
    CHECK(type == WIRE_CANCEL || type == WIRE_SESSION_KEY);
    size_t begun_at = wire_begin(b, type);
    if (type == WIRE_CANCEL) {
        buf_u32(b, WIRE_MAGIC);
    }
    buf_u64(b, m->session);
    buf_u64(b, m->secret);
    wire_end(b, begun_at);
}

bool wire_read_key(struct reader *r, enum wire_type type, struct wire_key *m)
{
    CHECK(type == WIRE_CANCEL || type == WIRE_SESSION_KEY);
    if (type == WIRE_CANCEL && reader_u32(r) != WIRE_MAGIC) {
        return false;
    }
    m->session = reader_u64(r);
    m->secret = reader_u64(r);
    return reader_done(r);
}

void wire_write_status(struct buf *b, const char *name, const char *value)
{
    size_t begun_at = wire_begin(b, WIRE_PARAMETER_STATUS);
    write_cstr(b, name);
    write_cstr(b, value);
    wire_end(b, begun_at);
}

bool wire_read_status(struct reader *r, struct wire_str *name, struct wire_str *value)
{
    *name = read_str(r);
    *value = read_str(r);
    return reader_done(r);
}

/* ---- statements and portals ---- */

void wire_write_text(struct buf *b, enum wire_type type, const char *text, size_t bytes)
{
    size_t begun_at = wire_begin(b, type);
    buf_str(b, text, bytes);
    wire_end(b, begun_at);
}

bool wire_read_text(struct reader *r, struct wire_str *text)
{
    *text = read_str(r);
    return reader_done(r);
}

void wire_write_parse(struct buf *b, const struct wire_parse_message *m)
{
    size_t begun_at = wire_begin(b, WIRE_PARSE);
    write_str(b, m->name);
    write_str(b, m->text);
    write_types(b, m->types, m->n_types);
    wire_end(b, begun_at);
}

bool wire_read_parse(struct reader *r, struct wire_parse_message *m)
{
    m->name = read_str(r);
    m->text = read_str(r);
    m->types = read_types(r, &m->n_types);
    return reader_done(r);
}

void wire_write_bind(struct buf *b, struct wire_str portal, struct wire_str statement,
                     const struct value *values, uint16_t n)
{
    size_t begun_at = wire_begin(b, WIRE_BIND);
    write_str(b, portal);
    write_str(b, statement);
    buf_u16(b, n);
    for (uint16_t i = 0; i < n; i++) {
        value_write(b, &values[i]);
    }
    wire_end(b, begun_at);
}

bool wire_read_bind(struct reader *r, struct wire_bind *m)
{
    m->portal = read_str(r);
    m->statement = read_str(r);
    m->n_values = reader_u16(r);
    return !r->failed;
}

void wire_write_named(struct buf *b, enum wire_type type, char kind, struct wire_str name)
{
    CHECK(type == WIRE_DESCRIBE || type == WIRE_CLOSE);
    CHECK(kind == WIRE_KIND_STATEMENT || kind == WIRE_KIND_PORTAL);
    size_t begun_at = wire_begin(b, type);
    buf_u8(b, (uint8_t)kind);
    write_str(b, name);
    wire_end(b, begun_at);
}

bool wire_read_named(struct reader *r, char *kind, struct wire_str *name)
{
    *kind = (char)reader_u8(r);
    *name = read_str(r);
    return reader_done(r) && (*kind == WIRE_KIND_STATEMENT || *kind == WIRE_KIND_PORTAL);
}

void wire_write_execute(struct buf *b, struct wire_str portal, uint32_t row_limit)
{
    size_t begun_at = wire_begin(b, WIRE_EXECUTE);
    write_str(b, portal);
    buf_u32(b, row_limit);
    wire_end(b, begun_at);
}

bool wire_read_execute(struct reader *r, struct wire_str *portal, uint32_t *row_limit)
{
    *portal = read_str(r);
    *row_limit = reader_u32(r);
    return reader_done(r);
}

/* ---- results ---- */

void wire_write_parameters(struct buf *b, const uint8_t *types, uint16_t n)
{
    size_t begun_at = wire_begin(b, WIRE_PARAMETERS);
    write_types(b, types, n);
    wire_end(b, begun_at);
}

bool wire_read_parameters(struct reader *r, const uint8_t **types, uint16_t *n)
{
    *types = read_types(r, n);
    return reader_done(r);
}

size_t wire_begin_columns(struct buf *b, uint16_t n)
{
    size_t begun_at = wire_begin(b, WIRE_ROW_DESCRIPTION);
    buf_u16(b, n);
    return begun_at;
}

void wire_write_column(struct buf *b, const struct wire_column *column)
{
    write_str(b, column->name);
    buf_u8(b, column->type);
    buf_u32(b, column->dim);
}

void wire_write_columns(struct buf *b, const struct wire_column *columns, uint16_t n)
{
    size_t begun_at = wire_begin_columns(b, n);
    for (uint16_t i = 0; i < n; i++) {
        wire_write_column(b, &columns[i]);
    }
    wire_end(b, begun_at);
}

bool wire_read_column_count(struct reader *r, uint16_t *n)
{
    *n = reader_u16(r);
    return !r->failed;
}

bool wire_read_column(struct reader *r, struct wire_column *m)
{
    m->name = read_str(r);
    m->type = reader_u8(r);
    m->dim = reader_u32(r);
    return !r->failed && m->type < TYPE_COUNT && m->dim <= VECTOR_DIM_MAX;
}

void wire_write_row(struct buf *b, const struct value *values, uint16_t n)
{
    size_t begun_at = wire_begin(b, WIRE_ROW);
    buf_u16(b, n);
    for (uint16_t i = 0; i < n; i++) {
        value_write(b, &values[i]);
    }
    wire_end(b, begun_at);
}

void wire_write_complete(struct buf *b, const char *tag, uint64_t n_rows)
{
    size_t begun_at = wire_begin(b, WIRE_COMMAND_COMPLETE);
    write_cstr(b, tag);
    buf_u64(b, n_rows);
    wire_end(b, begun_at);
}

bool wire_read_complete(struct reader *r, struct wire_str *tag, uint64_t *n_rows)
{
    *tag = read_str(r);
    *n_rows = reader_u64(r);
    return reader_done(r);
}

void wire_write_copy(struct buf *b, enum wire_type type, uint8_t format, const uint8_t *types,
                     uint16_t n)
{
    CHECK(type == WIRE_COPY_IN || type == WIRE_COPY_OUT);
    size_t begun_at = wire_begin(b, type);
    buf_u8(b, format);
    write_types(b, types, n);
    wire_end(b, begun_at);
}

bool wire_read_copy(struct reader *r, uint8_t *format, const uint8_t **types, uint16_t *n)
{
    *format = reader_u8(r);
    *types = read_types(r, n);
    return reader_done(r);
}

void wire_write_progress(struct buf *b, const char *phase, uint64_t done, uint64_t total)
{
    size_t begun_at = wire_begin(b, WIRE_PROGRESS);
    write_cstr(b, phase);
    buf_u64(b, done);
    buf_u64(b, total);
    wire_end(b, begun_at);
}

bool wire_read_progress(struct reader *r, struct wire_str *phase, uint64_t *done, uint64_t *total)
{
    *phase = read_str(r);
    *done = reader_u64(r);
    *total = reader_u64(r);
    return reader_done(r);
}

/* ---- errors and notices ---- */

/* Appends the field where it has a text; gives how many were appended. */
static uint8_t write_field(struct buf *b, enum wire_field field, const char *text)
{
    if (text[0] == '\0') {
        return 0;
    }
    buf_u8(b, (uint8_t)field);
    write_cstr(b, text);
    return 1;
}

void wire_write_error(struct buf *b, enum wire_type type, const char *severity,
                      const struct err *err)
{
    CHECK(type == WIRE_ERROR || type == WIRE_NOTICE);
    size_t begun_at = wire_begin(b, type);
    size_t count_at = b->bytes;
    buf_u8(b, 0);
    char position[16] = "";
    if (err->position > 0) {
        snprintf(position, sizeof position, "%u", (unsigned)err->position);
    }
    unsigned n = 0;
    n += write_field(b, FIELD_SEVERITY, severity);
    n += write_field(b, FIELD_SQLSTATE, err_sqlstate(err->code));
    n += write_field(b, FIELD_MESSAGE, err->message);
    n += write_field(b, FIELD_DETAIL, err->detail);
    n += write_field(b, FIELD_HINT, err->hint);
    n += write_field(b, FIELD_POSITION, position);
    n += write_field(b, FIELD_COLLECTION, err->collection);
    n += write_field(b, FIELD_COLUMN, err->column);
    n += write_field(b, FIELD_POLICY, err->policy);
    if (!b->failed) {
        b->data[count_at] = (uint8_t)n;
    }
    wire_end(b, begun_at);
}

/* Copies what fits, terminated. */
static void copy_field(char *to, size_t to_bytes, struct wire_str from)
{
    size_t bytes = from.bytes < to_bytes - 1 ? from.bytes : to_bytes - 1;
    memcpy(to, from.data, bytes);
    to[bytes] = '\0';
}

/* Decimal, at most nine digits; 0 where it is anything else. */
static uint32_t position_from_text(struct wire_str text)
{
    uint32_t position = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (i == 9 || text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
        position = position * 10 + (uint32_t)(text.data[i] - '0');
    }
    return position;
}

static void read_field(struct err *out, uint8_t field, struct wire_str text)
{
    switch (field) {
    case FIELD_MESSAGE:
        copy_field(out->message, sizeof out->message, text);
        break;
    case FIELD_DETAIL:
        copy_field(out->detail, sizeof out->detail, text);
        break;
    case FIELD_HINT:
        copy_field(out->hint, sizeof out->hint, text);
        break;
    case FIELD_POSITION:
        out->position = position_from_text(text);
        break;
    case FIELD_COLLECTION:
        copy_field(out->collection, sizeof out->collection, text);
        break;
    case FIELD_COLUMN:
        copy_field(out->column, sizeof out->column, text);
        break;
    case FIELD_POLICY:
        copy_field(out->policy, sizeof out->policy, text);
        break;
    default:
        break; /* A field of a newer minor version. */
    }
}

bool wire_read_error(struct reader *r, struct err *out, struct wire_str *severity,
                     struct wire_str *sqlstate)
{
    err_clear(out);
    *severity = (struct wire_str){.data = "", .bytes = 0};
    *sqlstate = (struct wire_str){.data = "", .bytes = 0};
    uint8_t n = reader_u8(r);
    for (uint8_t i = 0; i < n; i++) {
        uint8_t field = reader_u8(r);
        struct wire_str text = read_str(r);
        if (r->failed) {
            return false;
        }
        if (field == FIELD_SEVERITY) {
            *severity = text;
        } else if (field == FIELD_SQLSTATE) {
            *sqlstate = text;
        } else {
            read_field(out, field, text);
        }
    }
    char code[6];
    copy_field(code, sizeof code, *sqlstate);
    out->code = err_from_sqlstate(code);
    return reader_done(r);
}
