/* Any bytes as a stream of frames: each payload is read by the codec of its type, which refuses it
 * or gives fields that lie within it; what was read, written again, is the same frame. */
#include "fuzz.h"

#include <string.h>

#include "net/wire.h"

enum {
    ARENA_BYTES = 16 << 20,
    PAYLOAD_BYTES_MAX = 1 << 20,
    VALUES_MAX = 64
};

struct run {
    struct arena *arena;
    struct wire_frame frame;
    struct reader r;
    struct buf out; /* The frame again; empty where that is not tried. */
};

static void touch(struct wire_str s)
{
    CHECK(s.bytes == 0 || s.data != NULL);
    for (uint32_t i = 0; i < s.bytes; i++) { /* So that a sanitizer sees it. */
        (void)*(const volatile char *)(s.data + i);
    }
}

static void read_values(struct run *run, struct value *values, uint16_t n)
{
    for (uint16_t i = 0; i < n && !run->r.failed; i++) {
        struct value v = value_read(&run->r, run->arena);
        if (i < VALUES_MAX) {
            values[i] = v;
        }
    }
}

static void run_bind(struct run *run)
{
    struct wire_bind m;
    struct value values[VALUES_MAX];
    if (wire_read_bind(&run->r, &m)) {
        touch(m.portal);
        touch(m.statement);
        read_values(run, values, m.n_values);
        if (reader_done(&run->r) && m.n_values <= VALUES_MAX) {
            wire_write_bind(&run->out, m.portal, m.statement, values, m.n_values);
        }
    }
}

static void run_row(struct run *run)
{
    struct value values[VALUES_MAX];
    uint16_t n = 0;
    if (wire_read_column_count(&run->r, &n)) {
        read_values(run, values, n);
        if (reader_done(&run->r) && n <= VALUES_MAX) {
            wire_write_row(&run->out, values, n);
        }
    }
}

static void run_columns(struct run *run)
{
    struct wire_column columns[VALUES_MAX];
    uint16_t n = 0;
    bool is_good = wire_read_column_count(&run->r, &n) && n <= VALUES_MAX;
    for (uint16_t i = 0; i < n && is_good; i++) {
        is_good = wire_read_column(&run->r, &columns[i]);
    }
    if (is_good && reader_done(&run->r)) {
        wire_write_columns(&run->out, columns, n);
    }
}

static void run_startup(struct run *run)
{
    struct wire_startup m;
    if (!wire_read_startup(&run->r, &m)) {
        return;
    }
    for (uint16_t i = 0; i < m.n_options; i++) {
        touch(m.options[i].name);
        touch(m.options[i].value);
    }
    if (m.major == WIRE_VERSION_MAJOR) {
        wire_write_startup(&run->out, &m);
    }
}

static void run_parse(struct run *run)
{
    struct wire_parse_message m;
    if (wire_read_parse(&run->r, &m)) {
        touch(m.name);
        touch(m.text);
        wire_write_parse(&run->out, &m);
    }
}

static void run_named(struct run *run)
{
    char kind;
    struct wire_str name;
    if (wire_read_named(&run->r, &kind, &name)) {
        touch(name);
        wire_write_named(&run->out, (enum wire_type)run->frame.type, kind, name);
    }
}

static void run_key(struct run *run)
{
    struct wire_key key;
    if (wire_read_key(&run->r, (enum wire_type)run->frame.type, &key)) {
        wire_write_key(&run->out, (enum wire_type)run->frame.type, &key);
    }
}

static void run_copy(struct run *run)
{
    uint8_t format;
    const uint8_t *types;
    uint16_t n;
    if (wire_read_copy(&run->r, &format, &types, &n)) {
        wire_write_copy(&run->out, (enum wire_type)run->frame.type, format, types, n);
    }
}

static void run_error(struct run *run)
{
    struct err err;
    struct wire_str severity, sqlstate;
    if (wire_read_error(&run->r, &err, &severity, &sqlstate)) {
        touch(severity);
        touch(sqlstate);
        CHECK(strlen(err.message) < sizeof(err.message) && strlen(err.hint) < sizeof(err.hint));
    }
}

/* Those that hold texts and numbers only. */
static void run_plain(struct run *run)
{
    struct wire_str one = {0}, other = {0};
    uint64_t done, total;
    uint32_t limit;
    uint16_t n;
    uint8_t kind;
    const uint8_t *types;
    bool is_good = false;
    switch ((enum wire_type)run->frame.type) {
    case WIRE_EXECUTE:
        is_good = wire_read_execute(&run->r, &one, &limit);
        if (is_good) {
            wire_write_execute(&run->out, one, limit);
        }
        break;
    case WIRE_COMMAND_COMPLETE:
        is_good = wire_read_complete(&run->r, &one, &total);
        break;
    case WIRE_PROGRESS:
        is_good = wire_read_progress(&run->r, &one, &done, &total);
        break;
    case WIRE_PARAMETER_STATUS:
        is_good = wire_read_status(&run->r, &one, &other);
        break;
    case WIRE_AUTH:
        (void)wire_read_auth(&run->r, &kind);
        break;
    case WIRE_PARAMETERS:
        if (wire_read_parameters(&run->r, &types, &n)) {
            wire_write_parameters(&run->out, types, n);
        }
        break;
    default:
        is_good = wire_read_text(&run->r, &one);
        if (is_good) {
            wire_write_text(&run->out, (enum wire_type)run->frame.type, one.data, one.bytes);
        }
        break;
    }
    if (is_good) {
        touch(one);
        touch(other);
    }
}

static const struct {
    enum wire_type type;
    void (*run)(struct run *run);
} codecs[] = {
    {WIRE_STARTUP, run_startup}, {WIRE_CANCEL, run_key},    {WIRE_SESSION_KEY, run_key},
    {WIRE_PARSE, run_parse},     {WIRE_BIND, run_bind},     {WIRE_DESCRIBE, run_named},
    {WIRE_CLOSE, run_named},     {WIRE_ROW, run_row},       {WIRE_ROW_DESCRIPTION, run_columns},
    {WIRE_COPY_IN, run_copy},    {WIRE_COPY_OUT, run_copy}, {WIRE_ERROR, run_error},
    {WIRE_NOTICE, run_error},
};

static void run_frame(struct run *run, const uint8_t *frame, size_t frame_bytes)
{
    reader_init(&run->r, run->frame.payload, run->frame.payload_bytes);
    buf_reset(&run->out);
    void (*codec)(struct run * run) = run_plain;
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        if (codecs[i].type == (enum wire_type)run->frame.type) {
            codec = codecs[i].run;
        }
    }
    codec(run);
    CHECK(!run->out.failed);
    if (run->out.bytes > 0) {
        CHECK(run->out.bytes == frame_bytes);
        CHECK(memcmp(run->out.data, frame, frame_bytes) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct run run = {.arena = arena_new(MEM_NETWORK, ARENA_BYTES)};
    CHECK(run.arena != NULL);
    buf_init(&run.out, MEM_NETWORK, 2 * PAYLOAD_BYTES_MAX);
    size_t need = 0;
    for (size_t at = 0;
         wire_parse(data + at, bytes - at, PAYLOAD_BYTES_MAX, &run.frame, &need) == WIRE_FRAME;
         at += need) {
        CHECK(need == WIRE_HEADER_BYTES + run.frame.payload_bytes && need <= bytes - at);
        run_frame(&run, data + at, need);
        arena_reset(run.arena);
    }
    CHECK(need >= WIRE_HEADER_BYTES);
    buf_fini(&run.out);
    arena_free(run.arena);
    return 0;
}
