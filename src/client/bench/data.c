/* The files of benchmarks: .fbin and .ibin (u32 rows, u32 columns, then the rows), lists of ids.
 *
 * An .ibin of nearest neighbours may hold their distances behind the row numbers; those are not
 * looked at. */
#include "client/bench/bench_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MATRIX_HEADER_BYTES = 8,
    WORD_BYTES = 4
};

static enum errcode map_file(struct matrix *m, int fd, const char *path, struct err *err)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return err_set_errno(err, ERR_IO, errno, "%s", path);
    }
    m->map_bytes = (size_t)facts.st_size;
    if (!S_ISREG(facts.st_mode) || m->map_bytes < MATRIX_HEADER_BYTES) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED, "%s: this is no .fbin or .ibin file", path);
    }
    m->map = mmap(NULL, m->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (m->map == MAP_FAILED) {
        m->map = NULL;
        return err_set_errno(err, ERR_IO, errno, "%s", path);
    }
    const uint8_t *bytes = m->map;
    m->rows = le_get_u32(bytes);
    m->columns = le_get_u32(bytes + WORD_BYTES);
    m->words = bytes + MATRIX_HEADER_BYTES;
    uint64_t words = (uint64_t)m->rows * m->columns;
    if (m->columns == 0 || m->columns > VECTOR_DIM_MAX ||
        words * WORD_BYTES > m->map_bytes - MATRIX_HEADER_BYTES) {
        return err_set(err, ERR_FORMAT_UNSUPPORTED,
                       "%s: its header says %u rows of %u, which its size does not hold", path,
                       m->rows, m->columns);
    }
    return ERR_OK;
}

enum errcode matrix_open(struct matrix *m, const char *path, struct err *err)
{
    memset(m, 0, sizeof(*m));
    err_clear(err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, ERR_IO, errno, "%s", path);
    }
    enum errcode code = map_file(m, fd, path, err);
    close(fd);
    if (code != ERR_OK) {
        matrix_close(m);
    }
    return code;
}

void matrix_close(struct matrix *m)
{
    if (m->map != NULL) {
        munmap(m->map, m->map_bytes);
        m->map = NULL;
    }
}

uint32_t matrix_word(const struct matrix *m, uint32_t row, uint32_t column)
{
    CHECK(row < m->rows && column < m->columns);
    return le_get_u32(m->words + ((size_t)row * m->columns + column) * WORD_BYTES);
}

const float *matrix_row_f32(const struct matrix *m, uint32_t row, float *room)
{
    for (uint32_t i = 0; i < m->columns; i++) {
        uint32_t bits = matrix_word(m, row, i);
        memcpy(&room[i], &bits, sizeof(bits));
    }
    return room;
}

/* ---- ids ---- */

static enum errcode read_whole(FILE *file, const char *path, struct buf *out, struct err *err)
{
    size_t n;
    do {
        uint8_t *room = buf_reserve(out, 1 << 16);
        if (room == NULL) {
            return err_no_memory(err);
        }
        n = fread(room, 1, 1 << 16, file);
        buf_commit(out, n);
    } while (n > 0);
    return ferror(file) ? err_set_errno(err, ERR_IO, errno, "%s", path) : ERR_OK;
}

/* Cuts the text into lines. */
static enum errcode cut_lines(struct ids *ids, size_t bytes, struct err *err)
{
    size_t lines = 1;
    for (size_t i = 0; i < bytes; i++) {
        lines += ids->text[i] == '\n';
    }
    ids->items = mem_alloc(MEM_GENERAL, lines * sizeof(*ids->items));
    if (ids->items == NULL) {
        return err_no_memory(err);
    }
    for (size_t at = 0; at < bytes; ids->n++) {
        char *end = memchr(ids->text + at, '\n', bytes - at);
        size_t next = end == NULL ? bytes : (size_t)(end - ids->text);
        ids->items[ids->n] = ids->text + at;
        ids->text[next] = '\0';
        if (next > at && ids->text[next - 1] == '\r') {
            ids->text[next - 1] = '\0';
        }
        at = next + 1;
    }
    return ERR_OK;
}

enum errcode ids_open(struct ids *ids, const char *path, struct err *err)
{
    memset(ids, 0, sizeof(*ids));
    err_clear(err);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return err_set_errno(err, ERR_IO, errno, "%s", path);
    }
    struct buf text;
    buf_init(&text, MEM_GENERAL, (size_t)1 << 34);
    enum errcode code = read_whole(file, path, &text, err);
    fclose(file);
    if (code == ERR_OK) {
        ids->text = mem_strndup(MEM_GENERAL, (const char *)text.data, text.bytes);
        code = ids->text == NULL ? err_no_memory(err) : cut_lines(ids, text.bytes, err);
    }
    buf_fini(&text);
    if (code != ERR_OK) {
        ids_close(ids);
    }
    return code;
}

void ids_close(struct ids *ids)
{
    mem_free(MEM_GENERAL, ids->items);
    mem_free(MEM_GENERAL, ids->text);
    memset(ids, 0, sizeof(*ids));
}
