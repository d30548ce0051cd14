/* Bytes out and bytes in: a growing buffer with a limit, and a reader that cannot run over.
 *
 * All codecs of the wire and the disk are written with these; integers are little-endian.  Both
 * have a sticky failure: encode or decode everything, then ask once. */
#ifndef VECTRON_BASE_BUF_H
#define VECTRON_BASE_BUF_H

#include "base/mem.h"

struct buf {
    uint8_t *data;
    size_t bytes;
    size_t capacity_bytes;
    size_t bytes_max; /* Growing past it is a failure. */
    enum mem_category category;
    bool failed;
    bool is_full; /* It failed at bytes_max, not for want of memory. */
};

void buf_init(struct buf *b, enum mem_category category, size_t bytes_max);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b);   /* Keeps the memory, forgets the content and the failure. */
void buf_forgive(struct buf *b); /* Keeps the content too: what was written before the failure. */
/* Room for @bytes at the end, not yet counted; NULL on failure.  buf_commit counts them. */
uint8_t *buf_reserve(struct buf *b, size_t bytes);
void buf_commit(struct buf *b, size_t bytes);
void buf_discard(struct buf *b, size_t bytes); /* Removes from the front. */

void buf_bytes(struct buf *b, const void *data, size_t bytes);
void buf_u8(struct buf *b, uint8_t x);
void buf_u16(struct buf *b, uint16_t x);
void buf_u32(struct buf *b, uint32_t x);
void buf_u64(struct buf *b, uint64_t x);
void buf_f32(struct buf *b, float x);
void buf_f64(struct buf *b, double x);
void buf_varint(struct buf *b, uint64_t x);                  /* LEB128, at most 10 bytes. */
void buf_str(struct buf *b, const char *text, size_t bytes); /* u32 length, then bytes. */
void buf_floats(struct buf *b, const float *x, size_t n);    /* n raw f32. */
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_patch_u32(struct buf *b, size_t at, uint32_t x);

struct reader {
    const uint8_t *data;
    size_t bytes;
    size_t at;
    bool failed;
};

void reader_init(struct reader *r, const void *data, size_t bytes);
size_t reader_left(const struct reader *r);
bool reader_done(const struct reader *r); /* Read to the last byte without a failure. */
/* After a failure all of these give zeros and NULLs. */
const uint8_t *reader_bytes(struct reader *r, size_t bytes); /* Borrowed from the input. */
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
float reader_f32(struct reader *r);
double reader_f64(struct reader *r);
uint64_t reader_varint(struct reader *r);
const char *reader_str(struct reader *r, uint32_t *bytes); /* Not terminated; borrowed. */

/* Little-endian access to memory of any alignment. */
uint16_t le_get_u16(const void *p);
uint32_t le_get_u32(const void *p);
uint64_t le_get_u64(const void *p);
void le_put_u16(void *p, uint16_t x);
void le_put_u32(void *p, uint32_t x);
void le_put_u64(void *p, uint64_t x);

/* CRC-32C (Castagnoli, reflected 0x82f63b78), as in iSCSI (RFC 3720).  Chains: start with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
