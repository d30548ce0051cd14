/* Exact vectors in a mapped file, as the policy vector_memory = mapped has them: the file of one
 * index, which another one that opens what the first has saved maps as well. */
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096
};

struct mapped {
    int fd;
    void *map;
    size_t map_bytes;
    char path[PATH_BYTES];
};

static enum errcode reserve(void *arg, size_t bytes, struct err *err)
{
    struct mapped *m = arg;
    int failed = posix_fallocate(m->fd, 0, (off_t)bytes); /* Never makes it shorter. */
    return failed == 0 ? ERR_OK : err_set_errno(err, ERR_IO, failed, "%s", m->path);
}

static const void *map(void *arg, size_t bytes)
{
    struct mapped *m = arg;
    if (m->map != NULL) {
        (void)munmap(m->map, m->map_bytes);
    }
    m->map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, m->fd, 0);
    m->map = m->map == MAP_FAILED ? NULL : m->map;
    m->map_bytes = bytes;
    if (m->map != NULL) { /* Rows are looked at in no order. */
        (void)posix_madvise(m->map, bytes, POSIX_MADV_RANDOM);
    }
    return m->map;
}

static enum errcode put(void *arg, size_t at, const void *data, size_t bytes, struct err *err)
{
    struct mapped *m = arg;
    return pwrite(m->fd, data, bytes, (off_t)at) == (ssize_t)bytes
               ? ERR_OK
               : err_set_errno(err, ERR_IO, errno, "%s", m->path);
}

static enum errcode get(void *arg, size_t at, void *data, size_t bytes, struct err *err)
{
    struct mapped *m = arg;
    return pread(m->fd, data, bytes, (off_t)at) == (ssize_t)bytes
               ? ERR_OK
               : err_set_errno(err, ERR_IO, errno, "%s", m->path);
}

/* No row is deleted. */
static void empty(void *arg)
{
    (void)arg;
}

static void release(void *arg)
{
    struct mapped *m = arg;
    if (m->map != NULL) {
        (void)munmap(m->map, m->map_bytes);
    }
    (void)close(m->fd);
    (void)unlink(m->path);
    free(m);
}

struct index_storage mapped_new(const char *path)
{
    struct mapped *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        bench_fail("memory ran out", "calloc");
    }
    (void)snprintf(m->path, sizeof(m->path), "%s", path);
    m->fd = open(path, O_RDWR | O_CREAT, 0600);
    if (m->fd < 0) {
        bench_fail("cannot be opened", path);
    }
    return (struct index_storage){m, reserve, map, put, get, empty, release};
}
