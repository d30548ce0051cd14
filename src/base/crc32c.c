/* CRC-32C: eight bytes a step with the processor's instruction where it has one, else bit by bit.
 *
 * The instruction takes three cycles, but one can begin with each: what is long is cut into pieces
 * of three strands, whose sums are made side by side.  A sum moves on over n bytes when it is
 * multiplied by x^8n, modulo the polynomial; so three become one (Gopal and others, 2011). */
#include "base/buf.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The effect of one byte, bit by bit: slow, and needed only where the instruction is missing. */
static uint32_t step_byte(uint32_t crc)
{
    for (int bit = 0; bit < 8; bit++) {
        crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return crc;
}

static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t bytes)
{
    for (; bytes > 0; bytes--, p++) {
        crc = step_byte(crc ^ *p);
    }
    return crc;
}

#if defined(__x86_64__)

enum {
    STRAND_BYTES = 256
};
/* x^(8n - 33) for one strand and for two: reflected factors leave one x, the instruction 32. */
static const uint32_t over_one = 0xb9e02b86, over_two = 0xdd7e3b0c;

__attribute__((target("sse4.2,pclmul"))) static uint64_t moved(uint64_t crc, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128(factor), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Whole pieces only; the caller goes on behind them. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_strands(uint32_t crc, const uint8_t *p,
                                                                     size_t n_pieces)
{
    uint64_t first = crc;
    for (; n_pieces > 0; n_pieces--, p += (size_t)3 * STRAND_BYTES) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < STRAND_BYTES; i += sizeof(uint64_t)) {
            first = _mm_crc32_u64(first, word_at(p + i));
            second = _mm_crc32_u64(second, word_at(p + STRAND_BYTES + i));
            third = _mm_crc32_u64(third, word_at(p + (size_t)2 * STRAND_BYTES + i));
        }
        first = third ^ _mm_crc32_u64(0, moved(first, over_two) ^ moved(second, over_one));
    }
    return (uint32_t)first;
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
                                                            size_t bytes)
{
    uint64_t wide = crc;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        wide = _mm_crc32_u64(wide, word_at(p));
    }
    uint32_t narrow = (uint32_t)wide;
    for (; bytes > 0; bytes--, p++) {
        narrow = _mm_crc32_u8(narrow, *p);
    }
    return narrow;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
    CHECK_HOT(data != NULL || bytes == 0);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        size_t n_pieces = __builtin_cpu_supports("pclmul") ? bytes / ((size_t)3 * STRAND_BYTES) : 0;
        size_t done = n_pieces * 3 * STRAND_BYTES;
        crc = crc_strands(~crc, data, n_pieces);
        return ~crc_sse42(crc, (const uint8_t *)data + done, bytes - done);
    }
#endif
    return ~crc_portable(~crc, data, bytes);
}
