/* Bytes out and bytes in. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ || __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
               "byte order is one of the two");

enum {
    BUF_BYTES_MIN = 256,
    VARINT_BYTES_MAX = 10
};

uint16_t le_get_u16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t le_get_u32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t le_get_u64(const void *p)
{
    return (uint64_t)le_get_u32(p) | (uint64_t)le_get_u32((const uint8_t *)p + 4) << 32;
}

void le_put_u16(void *p, uint16_t x)
{
    uint8_t *b = p;
    b[0] = (uint8_t)x;
    b[1] = (uint8_t)(x >> 8);
}

void le_put_u32(void *p, uint32_t x)
{
    uint8_t *b = p;
    b[0] = (uint8_t)x;
    b[1] = (uint8_t)(x >> 8);
    b[2] = (uint8_t)(x >> 16);
    b[3] = (uint8_t)(x >> 24);
}

void le_put_u64(void *p, uint64_t x)
{
    le_put_u32(p, (uint32_t)x);
    le_put_u32((uint8_t *)p + 4, (uint32_t)(x >> 32));
}

/* ---- out ---- */

void buf_init(struct buf *b, enum mem_category category, size_t bytes_max)
{
    CHECK(category < MEM_COUNT);
    *b = (struct buf){.category = category, .bytes_max = bytes_max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->category, b->data);
    *b = (struct buf){.category = b->category, .bytes_max = b->bytes_max};
}

void buf_reset(struct buf *b)
{
    CHECK_HOT(b->bytes <= b->capacity_bytes);
    b->bytes = 0;
    buf_forgive(b);
}

void buf_forgive(struct buf *b)
{
    b->failed = b->is_full = false;
}

uint8_t *buf_reserve(struct buf *b, size_t bytes)
{
    CHECK_HOT(b->bytes <= b->capacity_bytes && (b->data != NULL || b->bytes == 0));
    if (b->failed) {
        return NULL;
    }
    if (bytes > b->bytes_max || b->bytes > b->bytes_max - bytes) {
        b->failed = b->is_full = true;
        return NULL;
    }
    size_t wanted = b->bytes + bytes;
    if (wanted > b->capacity_bytes || b->data == NULL) {
        size_t capacity = b->capacity_bytes < BUF_BYTES_MIN ? BUF_BYTES_MIN : b->capacity_bytes;
        while (capacity < wanted) {
            capacity += capacity / 2;
        }
        capacity = capacity > b->bytes_max ? b->bytes_max : capacity;
        uint8_t *data = mem_realloc(b->category, b->data, capacity);
        if (data == NULL) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->capacity_bytes = capacity;
    }
    return b->data + b->bytes;
}

void buf_commit(struct buf *b, size_t bytes)
{
    CHECK(!b->failed && bytes <= b->capacity_bytes - b->bytes);
    b->bytes += bytes;
}

void buf_discard(struct buf *b, size_t bytes)
{
    CHECK(bytes <= b->bytes);
    b->bytes -= bytes;
    if (b->bytes > 0 && bytes > 0) {
        memmove(b->data, b->data + bytes, b->bytes);
    }
}

void buf_bytes(struct buf *b, const void *data, size_t bytes)
{
    CHECK_HOT(data != NULL || bytes == 0);
    uint8_t *to = buf_reserve(b, bytes);
    if (to != NULL && bytes > 0) {
        memcpy(to, data, bytes);
        b->bytes += bytes;
    }
}

void buf_u8(struct buf *b, uint8_t x)
{
    uint8_t *to = buf_reserve(b, 1);
    if (to != NULL) {
        to[0] = x;
        b->bytes += 1;
    }
}

void buf_u16(struct buf *b, uint16_t x)
{
    uint8_t *to = buf_reserve(b, sizeof(x));
    if (to != NULL) {
        le_put_u16(to, x);
        b->bytes += sizeof(x);
    }
}

void buf_u32(struct buf *b, uint32_t x)
{
    uint8_t *to = buf_reserve(b, sizeof(x));
    if (to != NULL) {
        le_put_u32(to, x);
        b->bytes += sizeof(x);
    }
}

void buf_u64(struct buf *b, uint64_t x)
{
    uint8_t *to = buf_reserve(b, sizeof(x));
    if (to != NULL) {
        le_put_u64(to, x);
        b->bytes += sizeof(x);
    }
}

void buf_f32(struct buf *b, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    buf_u32(b, bits);
}

void buf_f64(struct buf *b, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    buf_u64(b, bits);
}

void buf_varint(struct buf *b, uint64_t x)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7) {
        bytes[n++] = (uint8_t)(x | 0x80);
    }
    bytes[n++] = (uint8_t)x;
    buf_bytes(b, bytes, n);
}

void buf_str(struct buf *b, const char *text, size_t bytes)
{
    CHECK_HOT(text != NULL || bytes == 0);
    if (bytes > UINT32_MAX) {
        b->failed = true;
        return;
    }
    buf_u32(b, (uint32_t)bytes);
    buf_bytes(b, text, bytes);
}

void buf_floats(struct buf *b, const float *x, size_t n)
{
    CHECK_HOT(x != NULL || n == 0);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    buf_bytes(b, x, n * sizeof(*x));
#else
    for (size_t i = 0; i < n; i++) {
        buf_f32(b, x[i]);
    }
#endif
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* vsnprintf ends with a zero byte that is not part of the content. */
    uint8_t *to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (to == NULL) {
        b->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf((char *)to, (size_t)n + 1, format, args);
    va_end(args);
    b->bytes += (size_t)n;
}

void buf_patch_u32(struct buf *b, size_t at, uint32_t x)
{
    if (!b->failed) {
        CHECK(at + sizeof(x) <= b->bytes);
        le_put_u32(b->data + at, x);
    }
}

/* ---- in ---- */

void reader_init(struct reader *r, const void *data, size_t bytes)
{
    CHECK(data != NULL || bytes == 0);
    *r = (struct reader){.data = data, .bytes = bytes};
}

size_t reader_left(const struct reader *r)
{
    CHECK_HOT(r->at <= r->bytes);
    return r->bytes - r->at;
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->at == r->bytes;
}

const uint8_t *reader_bytes(struct reader *r, size_t bytes)
{
    if (r->failed || bytes > reader_left(r)) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += bytes;
    return p;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 1);
    return p == NULL ? 0 : p[0];
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, sizeof(uint16_t));
    return p == NULL ? 0 : le_get_u16(p);
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, sizeof(uint32_t));
    return p == NULL ? 0 : le_get_u32(p);
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, sizeof(uint64_t));
    return p == NULL ? 0 : le_get_u64(p);
}

float reader_f32(struct reader *r)
{
    uint32_t bits = reader_u32(r);
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

double reader_f64(struct reader *r)
{
    uint64_t bits = reader_u64(r);
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

uint64_t reader_varint(struct reader *r)
{
    uint64_t x = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        if (shift == 63 && byte > 1) {
            break;
        }
        x |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return r->failed ? 0 : x;
        }
    }
    r->failed = true;
    return 0;
}

const char *reader_str(struct reader *r, uint32_t *bytes)
{
    CHECK_HOT(bytes != NULL);
    uint32_t n = reader_u32(r);
    const uint8_t *p = reader_bytes(r, n);
    *bytes = p == NULL ? 0 : n;
    return (const char *)p;
}
