/* decode: COPY FROM's rows, of what the client sends or of a file on the server.
 *
 *   portal_copy_data, or the file -> pending -> row_decoder_next -> a row, as wide as the
 * collection
 *
 * Where no whole row is left of what the client has sent, there is no next row and decode_is_short:
 * the step ends, and the client is asked for more.  A row that is put back is still where it was,
 * since nothing is added to pending before it was taken again. */
#include "query/copy_int.h"
#include "query/operator_int.h"

#include "format/format.h"

#include <errno.h>
#include <unistd.h>

struct decoding {
    struct operator_run base;
    struct row_decoder *decoder;
    struct buf pending; /* Given and not yet decoded. */
    size_t decoded;     /* Bytes at its front that are done with. */
    bool is_ended;      /* No further input comes. */
    bool is_short;
    bool is_back; /* The row given last comes again. */
    int fd;       /* Of a file on the server, or -1. */
    uint64_t file_bytes, file_done;
};

static struct decoding *decoding_of(struct operator_run *o)
{
    CHECK_HOT(o->kind == &operator_decode);
    return CONTAINER_OF(o, struct decoding, base);
}

/* ---- start and end ---- */

static enum errcode open_ids(struct portal *p, FILE **ids, struct err *err)
{
    int fd;
    uint64_t bytes;
    enum errcode code = copy_file_open(p, p->plan->copy.format.ids_file, &fd, &bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    *ids = fdopen(fd, "r");
    if (*ids == NULL) {
        close(fd);
        return err_no_memory(err);
    }
    return ERR_OK;
}

static enum errcode open_decode(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    struct decoding *d = decoding_of(o);
    const struct row_format *format = &p->plan->copy.format;
    const char *file = p->plan->stmt->copy.file;
    struct row_making making = {
        .record_bytes_max = REPL_ENTRY_BYTES_MAX, .arena = p->row_arena, .coerce = value_coerce};
    d->fd = -1;
    buf_init(&d->pending, MEM_STATEMENT, p->budget_bytes);
    if (format->ids_file != NULL && open_ids(p, &making.ids, err) != ERR_OK) {
        return err->code;
    }
    d->decoder = row_decoder_new(format, &making);
    if (d->decoder == NULL) {
        return err_no_memory(err);
    }
    p->is_heavy = p->is_heavy || file != NULL;
    return file != NULL ? copy_file_open(p, file, &d->fd, &d->file_bytes, err) : ERR_OK;
}

static void close_decode(struct operator_run *o)
{
    struct decoding *d = decoding_of(o);
    row_decoder_free(d->decoder);
    buf_fini(&d->pending);
    if (d->fd >= 0) {
        close(d->fd);
    }
}

/* ---- rows ---- */

static enum errcode read_file(struct decoding *d, struct err *err)
{
    struct portal *p = d->base.portal;
    size_t bytes = portal_part(p, COPY_CHUNK_BYTES);
    uint8_t *chunk = buf_reserve(&d->pending, bytes);
    if (chunk == NULL) {
        return portal_no_memory(p, err);
    }
    ssize_t n = read(d->fd, chunk, bytes);
    if (n < 0 && errno != EINTR) {
        return err_set_errno(err, ERR_IO, errno, "could not read the file \"%s\"",
                             p->plan->stmt->copy.file);
    }
    buf_commit(&d->pending, n > 0 ? (size_t)n : 0);
    d->is_ended = n == 0;
    d->file_done += n > 0 ? (uint64_t)n : 0;
    portal_progress(p, "copy, bytes", d->file_done, d->file_bytes);
    return ERR_OK;
}

/* Of what is pending. */
static enum decoded decode(struct decoding *d, struct err *err)
{
    static const uint8_t no_data[1];
    struct portal *p = d->base.portal;
    if (d->pending.failed) {
        portal_no_memory(p, err);
        return DECODED_BAD;
    }
    arena_reset(p->row_arena);
    struct row_input input = {.bytes = d->pending.bytes - d->decoded, .is_last = d->is_ended};
    /* Without a byte of data the buffer has no memory that could be pointed into. */
    input.data = input.bytes == 0 ? no_data : d->pending.data + d->decoded;
    enum decoded decoded = row_decoder_next(d->decoder, &input, p->columns, err);
    if (decoded == DECODED_BAD && err->code == ERR_OUT_OF_MEMORY && arena_failed(p->row_arena)) {
        portal_no_memory(p, err);
    }
    d->decoded += input.used;
    work_charge(&p->work, DECODED_BYTE_WORK * input.used);
    return decoded;
}

static enum errcode next_row(struct operator_run *o, struct value **row, struct err *err)
{
    struct decoding *d = decoding_of(o);
    *row = o->portal->columns;
    if (d->is_back) {
        d->is_back = false;
        return ERR_OK;
    }
    for (;;) {
        enum errcode code = work_spend(&o->portal->work, ROW_WORK, err);
        enum decoded decoded = code == ERR_OK ? decode(d, err) : DECODED_BAD;
        d->is_short = decoded == DECODED_MORE && d->fd < 0;
        if (decoded == DECODED_MORE) {
            buf_discard(&d->pending, d->decoded);
            d->decoded = 0;
        }
        if (decoded != DECODED_MORE || d->is_short) {
            *row = decoded == DECODED_ROW ? *row : NULL;
            return decoded == DECODED_BAD ? err->code : ERR_OK;
        }
        if (read_file(d, err) != ERR_OK) {
            return err->code;
        }
    }
}

static void back(struct operator_run *o)
{
    decoding_of(o)->is_back = true;
}

const struct operator_kind operator_decode = {
    .name = "decode",
    .bytes = sizeof(struct decoding),
    .open = open_decode,
    .next = next_row,
    .back = back,
    .close = close_decode,
};

bool decode_is_short(struct operator_run *o)
{
    return decoding_of(o)->is_short;
}

const struct row_decoder *decode_source(struct operator_run *o)
{
    return decoding_of(o)->decoder;
}

/* ---- the client's data ---- */

void portal_copy_data(struct portal *p, const void *data, size_t bytes)
{
    CHECK(p->state == PORTAL_IS_COPYING && p->leaf != NULL);
    struct decoding *d = decoding_of(p->leaf);
    CHECK(!d->is_ended && !d->is_back);
    p->is_heavy = false;
    /* How long a frame is was the client's to say, and frame_max's; what is left of those before
     * it, the begin of a row, is the statement's. */
    d->pending.bytes_max = p->budget_bytes + bytes;
    buf_bytes(&d->pending, data, bytes);
}

void portal_copy_done(struct portal *p)
{
    CHECK(p->state == PORTAL_IS_COPYING);
    decoding_of(p->leaf)->is_ended = true;
}

enum copy_format portal_copy_format(const struct portal *p, const uint8_t **types, size_t *n)
{
    *types = p->plan->copy.types;
    *n = p->plan->copy.format.n_columns;
    return p->plan->copy.format.kind;
}
