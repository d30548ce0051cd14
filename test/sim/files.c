/* Files that COPY reads and writes: they lie in the folder "copy" of the world's directory, beside
 * the node's own, and on the same disk.
 *
 * A client copies the collection into a file of its own.  What that must hold is known as far as
 * its own rows go, which nobody else changes: after a COPY TO that was acknowledged, the rows as
 * the model has them, whatever happens to power.  Until then the file is as it was: a COPY TO that
 * failed, or was cut off by a crash, may at most have put the new one in its place, whole.  It is
 * looked at by true calls, as one who is not simulated would. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/sim/run.h"

enum {
    CONTENT_BYTES = 1 << 20,
    LINE_BYTES = NOTE_BYTES + 200,
};

static const uint64_t hash_of_none = 0;

static void path_of(const char *name, unsigned client, char out[128])
{
    (void)snprintf(out, 128, "%s/copy/%s%u", world->directory, name, client);
}

/* As another program of the machine would: it may fail. */
bool file_put(const char *name, unsigned client, const char *data, size_t bytes)
{
    char path[128];
    path_of(name, client, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    size_t put = 0;
    ssize_t n = 0;
    while (put < bytes && (n = write(fd, data + put, bytes - put)) > 0) {
        put += (size_t)n;
    }
    close(fd);
    return put == bytes;
}

/* ---- what the file holds ---- */

static struct {
    char text[CONTENT_BYTES + 1]; /* And a zero. */
    size_t bytes;
    uint64_t hash;
    size_t n_lines;
} seen;

static void look(unsigned client)
{
    char path[128];
    ssize_t n;
    path_of("all", client, path);
    seen.bytes = 0;
    seen.hash = hash_of_none;
    int fd = true_openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0) {
        return;
    }
    while ((n = true_pread(fd, seen.text + seen.bytes, CONTENT_BYTES - seen.bytes, seen.bytes)) >
           0) {
        seen.bytes += (size_t)n;
    }
    CHECK(n == 0 && seen.bytes < CONTENT_BYTES);
    (void)true_close(fd);
    seen.text[seen.bytes] = '\0';
    seen.hash = hash_bytes(seen.text, seen.bytes, 0) | 1;
}

/* Whether a line of one of the client's keys is as the model has it. */
static bool is_as_the_model_has_it(unsigned client, unsigned key, const char *line, size_t bytes)
{
    char expected[LINE_BYTES], note[NOTE_BYTES], vector[64];
    const struct cell *cell = &world->model.cells[client][key];
    model_note(cell->n, note);
    model_vector(cell->n, vector);
    int n = snprintf(expected, sizeof(expected), "%u,%lld,%lld,%s,\"%s\"\n",
                     client * ID_OF_CLIENT + key, (long long)cell->n, (long long)cell->count, note,
                     vector);
    return cell->is_there && (size_t)n == bytes && memcmp(line, expected, bytes) == 0;
}

/* Whether what was seen is a copy: a header, then whole lines, and among them each of the client's
 * rows once.  The rows of others change meanwhile. */
static bool is_whole(unsigned client)
{
    static const char header[] = "id,n,c,note,e\n";
    const char *line = seen.text, *end = seen.text + seen.bytes;
    bool has[KEYS] = {false};
    size_t n_own = 0;
    if (strncmp(line, header, strlen(header)) != 0 || end[-1] != '\n' ||
        strlen(seen.text) != seen.bytes) {
        return false;
    }
    seen.n_lines = 0;
    for (line += strlen(header); line < end; seen.n_lines++) {
        const char *next = strchr(line, '\n') + 1;
        char *behind;
        unsigned long id = strtoul(line, &behind, 10);
        if (behind == line || *behind != ',') {
            return false;
        }
        if (id / ID_OF_CLIENT == client && id % ID_OF_CLIENT < KEYS) {
            unsigned key = (unsigned)(id % ID_OF_CLIENT);
            if (has[key] || !is_as_the_model_has_it(client, key, line, (size_t)(next - line))) {
                return false;
            }
            has[key] = true;
            n_own++;
        }
        line = next;
    }
    return n_own == model_count(client, 0, KEYS - 1);
}

static _Noreturn void fail_seen(unsigned client, const char *when)
{
    sim_fail("client %u: %s its file holds %zu bytes that it must not:\n%.700s", client, when,
             seen.bytes, seen.bytes > 0 ? seen.text : "");
}

void check_file(unsigned client)
{
    struct copied *copied = &world->model.copied[client];
    bool is_known = false;
    look(client);
    world_note(seen.hash);
    for (size_t i = 0; i <= copied->n_more; i++) {
        is_known = is_known || copied->hashes[i] == seen.hash;
    }
    if (!is_known && (!copied->is_in_doubt || !is_whole(client))) {
        fail_seen(client, "after what has not happened");
    }
    if (!is_known) { /* Its name is in its place, and a loss of power may take it back. */
        CHECK(copied->n_more + 1 < CONTENTS_MAX);
        copied->hashes[++copied->n_more] = seen.hash;
    }
    copied->is_in_doubt = false;
}

/* ---- the statement ---- */

void copy_to_file(struct run *r)
{
    unsigned me = r->who->number;
    struct copied *copied = &world->model.copied[me];
    if (copied->n_more + 1 == CONTENTS_MAX) {
        return; /* One too many has failed when all was done but the last sync. */
    }
    int used = snprintf(r->text, sizeof(r->text), "COPY t TO 'all%u' (HEADER", me);
    if (fault_happens(FAULT_TIMEOUT)) {
        used += snprintf(r->text + used, sizeof(r->text) - (size_t)used, ", timeout = '%uus'",
                         1 + (unsigned)chance_below(STREAM_CLIENT, 20000));
    }
    (void)snprintf(r->text + used, sizeof(r->text) - (size_t)used, ")");
    copied->is_in_doubt = true;
    enum errcode code = run(r, ERR_OK);
    if (code != ERR_OK) {
        copied->is_in_doubt = code == ERR_IO; /* The last sync is behind the new name. */
        check_file(me);
        return;
    }
    look(me);
    if (!is_whole(me) || seen.n_lines != r->changed) {
        fail_seen(me, "after a COPY TO");
    }
    *copied = (struct copied){.hashes = {seen.hash}};
    world_note(seen.hash);
}
