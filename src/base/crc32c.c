/* CRC-32C: eight bytes a step with the processor's instruction where it has one, else bit by bit.
 */
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
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
                                                            size_t bytes)
{
    uint64_t wide = crc;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), p += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
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
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc_sse42(~crc, data, bytes);
    }
#endif
    return ~crc_portable(~crc, data, bytes);
}
