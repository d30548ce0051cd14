/* Any bytes as an index checkpoint, with its checksums mended: it is refused, or loaded into an
 * index that can be searched, changed and saved again. */
#include "fuzz.h"

#include <string.h>

#include "index/index.h"
#include "index_seed.h"

enum {
    PREFIX_BYTES = 16,
    HEAD_BYTES = 88, /* Without a centre. */
    END_BYTES = 12
};

struct stream {
    uint8_t *data;
    size_t bytes, at;
};

static enum errcode read_stream(void *arg, void *data, size_t bytes, struct err *err)
{
    struct stream *s = arg;
    if (bytes > s->bytes - s->at) {
        return err_set(err, ERR_CORRUPT, "the stream ends too early");
    }
    memcpy(data, s->data + s->at, bytes);
    s->at += bytes;
    return ERR_OK;
}

static enum errcode write_nothing(void *arg, const void *data, size_t bytes, struct err *err)
{
    (void)arg;
    (void)data;
    (void)bytes;
    (void)err;
    return ERR_OK;
}

/* Walks the stream as index/save.c draws it; what is behind the first odd length stays as it is. */
static void mend_checksums(struct stream *s)
{
    uint32_t crc;
    size_t at = PREFIX_BYTES + HEAD_BYTES;
    if (s->bytes < at) {
        return;
    }
    le_put_u32(s->data + PREFIX_BYTES - sizeof(crc),
               crc32c(0, s->data, PREFIX_BYTES - sizeof(crc)));
    uint32_t head_crc = crc32c(0, s->data + PREFIX_BYTES, HEAD_BYTES - sizeof(crc));
    uint32_t all_crc = head_crc;
    le_put_u32(s->data + at - sizeof(crc), head_crc);
    for (uint32_t number = 0; at + END_BYTES < s->bytes; number++) {
        size_t block_bytes = sizeof(uint32_t) + le_get_u32(s->data + at);
        if (block_bytes + sizeof(crc) > s->bytes - at) {
            return;
        }
        crc = crc32c(head_crc + number, s->data + at, block_bytes);
        le_put_u32(s->data + at + block_bytes, crc);
        all_crc = crc32c(all_crc, s->data + at + block_bytes, sizeof(crc));
        at += block_bytes + sizeof(crc);
    }
    if (s->bytes - at == END_BYTES) {
        le_put_u32(s->data + at + 8, crc32c(all_crc, s->data + at + 4, sizeof(crc)));
    }
}

static void vector_of_row(uint64_t row, float *out)
{
    for (uint32_t i = 0; i < INDEX_SEED_DIM; i++) {
        out[i] = (float)(hash_u64(row * INDEX_SEED_DIM + i) >> 44) + 1;
    }
}

/* What must hold of an index that was loaded. */
static void use_index(struct index *index)
{
    struct err err = {0};
    float query[INDEX_SEED_DIM];
    vector_of_row(3, query);
    struct index_hit hits[8];
    for (int plan = INDEX_WALK; plan <= INDEX_EXACT; plan++) {
        struct index_search search = {
            .query = query, .k = 8, .ef = 16, .plan = (enum index_plan)plan};
        struct index_work work = {0};
        size_t n = 0;
        CHECK(index_search(index, &search, hits, &n, &work, &err) == ERR_OK);
        CHECK(n <= COUNT_OF(hits));
    }
    uint64_t sequence = index_sequence(index);
    for (uint64_t row = 0; row < 8 && sequence < UINT64_MAX; row++) {
        CHECK(index_stage_delete(index, ++sequence, &row, 1, &err) == ERR_OK);
    }
    size_t n_done = 0;
    CHECK(index_advance(index, SIZE_MAX, NULL, &n_done, &err) == ERR_OK);
    (void)index_digest(index);
    uint32_t digest;
    CHECK(index_save(index, write_nothing, NULL, &digest, &err) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool is_chosen;
    if (!is_chosen) {
        CHECK(index_choose_kernel(NULL));
        is_chosen = true;
    }
    if (bytes == 0) {
        return 0;
    }
    struct stream s = {.data = mem_alloc(MEM_GENERAL, bytes), .bytes = bytes - 1};
    CHECK(s.data != NULL);
    memcpy(s.data, data + 1, bytes - 1);
    mend_checksums(&s);
    struct index_config config = index_seed_config(data[0] & 1 ? INDEX_FLAT : INDEX_HNSW);
    struct err err = {0};
    struct index *index = index_new(&config, &err);
    CHECK(index != NULL);
    uint32_t digest;
    struct index_source source = {.read = read_stream, .arg = &s, .bytes = s.bytes};
    enum errcode code = index_load(index, &source, NULL, &digest, &err);
    if (code == ERR_OK) {
        use_index(index);
    }
    index_free(index);
    mem_free(MEM_GENERAL, s.data);
    return 0;
}
