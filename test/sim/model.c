/* What the rows must be.  Each client has keys of its own, so that what they hold is known but for
 * the one statement of each that is under way or whose outcome was not told. */
#include "test/sim/sim.h"

#include <stdio.h>
#include <string.h>

void model_vector(int64_t n, char out[64])
{
    uint64_t hash = hash_u64((uint64_t)n);
    (void)snprintf(out, 64, "[%d,%d,%d,%d]", (int)(hash % 101) - 50, (int)(hash >> 16) % 101,
                   (int)(hash >> 32 & 63) + 1, (int)(hash >> 48 & 63) - 31);
}

/* Some are so long that they take pages of their own. */
void model_note(int64_t n, char out[NOTE_BYTES])
{
    size_t bytes = n % 9 == 0 ? (uint64_t)n * 131 % (NOTE_BYTES - 64) : 0;
    int used = snprintf(out, NOTE_BYTES, "note %lld", (long long)n);
    memset(out + used, 'x', bytes);
    out[(size_t)used + bytes] = '\0';
}

void model_row(unsigned client, unsigned key, const struct cell *cell, struct buf *out)
{
    char note[NOTE_BYTES];
    model_note(cell->n, note);
    buf_printf(out, "%u|%lld|%lld|%s\n", client * ID_OF_CLIENT + key, (long long)cell->n,
               (long long)cell->count, note);
}

void model_rows(unsigned client, unsigned from, unsigned to, struct buf *out)
{
    for (unsigned key = from; key <= to; key++) {
        if (world->model.cells[client][key].is_there) {
            model_row(client, key, &world->model.cells[client][key], out);
        }
    }
}

size_t model_count(unsigned client, unsigned from, unsigned to)
{
    size_t n = 0;
    for (unsigned key = from; key <= to; key++) {
        n += world->model.cells[client][key].is_there;
    }
    return n;
}

size_t model_sums(unsigned client, unsigned from, unsigned to, unsigned group, struct buf *out)
{
    size_t n = 0;
    int64_t sum = 0, least = INT64_MAX, greatest = INT64_MIN;
    for (unsigned key = from; key <= to; key++) {
        const struct cell *cell = &world->model.cells[client][key];
        if (cell->is_there && (group == MODEL_ALL || cell->n % MODEL_GROUPS == group)) {
            n++;
            sum += cell->n;
            least = cell->n < least ? cell->n : least;
            greatest = cell->n > greatest ? cell->n : greatest;
        }
    }
    if (n == 0) {
        buf_printf(out, "0|||\n");
    } else {
        buf_printf(out, "%zu|%lld|%lld|%lld\n", n, (long long)sum, (long long)least,
                   (long long)greatest);
    }
    return n;
}

void model_happened(unsigned client)
{
    struct doubt *doubt = &world->model.doubts[client];
    for (size_t i = 0; i < doubt->n; i++) {
        world->model.cells[client][doubt->keys[i]] = doubt->cells[i];
    }
    doubt->n = 0;
}

void model_forgotten(unsigned client)
{
    world->model.doubts[client].n = 0;
}
