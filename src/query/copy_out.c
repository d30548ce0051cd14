/* COPY TO: rows as csv, fbin or binary, to the client or to a file on the server.
 *
 * Each step reads within a view of its own until a chunk is full, so a slow client holds no view;
 * cursor.c says what that means for rows that change meanwhile.  fbin begins with the number of
 * rows, so there the count of the first view must hold to the end. */
#include "query/copy_int.h"
#include "query/operator_int.h"

#include "format/format.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

struct copy_out {
    struct operator_run base;
    struct buf chunk;
    struct row_encoder encoder; /* Into chunk. */
    struct column_mask mask;
    bool has_begun;
    uint64_t n_promised;       /* fbin */
    struct copy_target target; /* Of a file on the server. */
};

static struct copy_out *copy_out_of(struct operator_run *o)
{
    return CONTAINER_OF(o, struct copy_out, base);
}

static enum errcode open_file(struct portal *p, struct copy_out *out, struct err *err)
{
    p->is_heavy = true;
    return copy_file_create(p, p->plan->stmt->copy.file, &out->target, err);
}

static enum errcode open_encode(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    struct copy_out *out = copy_out_of(o);
    out->target.fd = out->target.folder = -1;
    buf_init(&out->chunk, MEM_STATEMENT, p->budget_bytes);
    row_encoder_init(&out->encoder, &p->plan->copy.format, &out->chunk);
    for (size_t i = 0; i < p->plan->copy.format.n_columns; i++) {
        mask_add(&out->mask, p->plan->copy.format.columns[i]);
    }
    p->is_heavy = true; /* To write numbers takes long, and a vector has thousands. */
    if (p->plan->stmt->copy.file != NULL) {
        return open_file(p, out, err);
    }
    p->copy_out = &out->chunk;
    return ERR_OK;
}

static void close_encode(struct operator_run *o)
{
    struct copy_out *out = copy_out_of(o);
    o->portal->copy_out = NULL;
    buf_fini(&out->chunk);
    row_encoder_fini(&out->encoder);
    copy_file_close(&out->target);
}

/* ---- steps ---- */

static enum errcode write_file(struct portal *p, struct copy_out *out, struct err *err)
{
    const uint8_t *at = out->chunk.data;
    size_t left = out->chunk.bytes;
    while (left > 0) {
        ssize_t n = write(out->target.fd, at, left);
        if (n < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_IO, errno, "could not write the file \"%s\"",
                                 p->plan->stmt->copy.file);
        }
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    buf_reset(&out->chunk);
    return ERR_OK;
}

static enum errcode finish(struct portal *p, struct copy_out *out, struct err *err)
{
    p->rows = out->encoder.n_rows;
    if (p->plan->copy.format.kind == COPY_FBIN && out->encoder.n_rows != out->n_promised) {
        err_set(err, ERR_CONFLICT,
                "the collection changed while it was copied: %" PRIu64 " rows instead of %" PRIu64,
                out->encoder.n_rows, out->n_promised);
        err_hint(err, "Run it again, or use csv.");
        return ERR_CONFLICT;
    }
    if (out->target.fd < 0) {
        return ERR_OK;
    }
    enum errcode code = write_file(p, out, err);
    return code == ERR_OK ? copy_file_keep(&out->target, p->plan->stmt->copy.file, err) : code;
}

/* Rows until the chunk is full. */
static enum errcode fill_chunk(struct operator_run *o, bool *is_end, struct err *err)
{
    struct copy_out *out = copy_out_of(o);
    struct value *row = NULL;
    size_t bytes_max = portal_part(o->portal, COPY_CHUNK_BYTES);
    *is_end = false;
    while (!*is_end && out->chunk.bytes < bytes_max) {
        if (operator_next(o->input, &row, err) != ERR_OK) {
            return err->code;
        }
        *is_end = row == NULL;
        if (row != NULL && (operator_fetch(o->input, &out->mask, err) != ERR_OK ||
                            row_encoder_put(&out->encoder, row, err) != ERR_OK)) {
            return err->code;
        }
    }
    return out->chunk.failed ? portal_no_memory(o->portal, err) : ERR_OK;
}

static enum step step_encode(struct operator_run *o, struct err *err)
{
    struct portal *p = o->portal;
    struct copy_out *out = copy_out_of(o);
    bool is_end = false;
    if (!out->has_begun) {
        if (scan_count(o->input, &out->n_promised, err) != ERR_OK) {
            return STEP_FAILED;
        }
        out->has_begun = true;
        row_encoder_begin(&out->encoder, out->n_promised);
    }
    if (fill_chunk(o, &is_end, err) != ERR_OK ||
        (out->target.fd >= 0 && write_file(p, out, err) != ERR_OK) ||
        (is_end && finish(p, out, err) != ERR_OK)) {
        return STEP_FAILED;
    }
    return is_end ? STEP_DONE : STEP_MORE;
}

const struct operator_kind operator_encode = {
    .name = "encode",
    .bytes = sizeof(struct copy_out),
    .open = open_encode,
    .close = close_encode,
    .step = step_encode,
};
