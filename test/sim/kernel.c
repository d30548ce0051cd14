/* The C library's calls about time, chance and files, in the place of the C library's: the program
 * comes first where a shared library looks for a name, so LMDB calls these as the node does.
 *
 * They are simulated while a fiber runs, and files where they lie under the world's directory;
 * all else goes to the kernel as it is.  What is read through a mapping is read from the true file,
 * which plays the page cache. */
#define _GNU_SOURCE /* SYS_ */
#include "test/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    PROCESS = 4242,
    BLOCK_BYTES = 4096,
    READS_PATIENT = 10000,
    READ_CLOCK_NS = 10000,
    BLOCKS_FREE = 1 << 20,
    BLOCKS_FREE_WHEN_FULL = 2,
};

/* 2026-01-01 00:00:00 UTC. */
static const uint64_t wall_first_s = 1767225600;

/* The name by which everybody else, LMDB too, calls the function that is declared with it. */
#define REPLACES(name) __asm__(#name)

int sim_clock_gettime(clockid_t id, struct timespec *time) REPLACES(clock_gettime);
int sim_nanosleep(const struct timespec *time, struct timespec *left) REPLACES(nanosleep);
ssize_t sim_getrandom(void *to, size_t bytes, unsigned flags) REPLACES(getrandom);
pid_t sim_getpid(void) REPLACES(getpid);
int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg),
                       void *arg) REPLACES(pthread_create);
int sim_pthread_join(pthread_t thread, void **result) REPLACES(pthread_join);
int sim_pthread_mutex_lock(pthread_mutex_t *mutex) REPLACES(pthread_mutex_lock);
int sim_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    REPLACES(pthread_cond_wait);
int sim_pthread_cond_signal(pthread_cond_t *condition) REPLACES(pthread_cond_signal);
int sim_open(const char *path, int flags, ...) REPLACES(open);
int sim_openat(int at, const char *path, int flags, ...) REPLACES(openat);
int sim_close(int fd) REPLACES(close);
int sim_mkdir(const char *path, mode_t mode) REPLACES(mkdir);
int sim_rename(const char *from, const char *to) REPLACES(rename);
int sim_renameat(int from_at, const char *from, int to_at, const char *to) REPLACES(renameat);
int sim_unlinkat(int at, const char *path, int flags) REPLACES(unlinkat);
int sim_unlink(const char *path) REPLACES(unlink);
int sim_rmdir(const char *path) REPLACES(rmdir);
int sim_statvfs(const char *path, struct statvfs *out) REPLACES(statvfs);
ssize_t sim_pwrite(int fd, const void *from, size_t bytes, off_t at) REPLACES(pwrite);
ssize_t sim_pread(int fd, void *to, size_t bytes, off_t at) REPLACES(pread);
ssize_t sim_read(int fd, void *to, size_t bytes) REPLACES(read);
ssize_t sim_write(int fd, const void *from, size_t bytes) REPLACES(write);
ssize_t sim_writev(int fd, const struct iovec *parts, int n) REPLACES(writev);
int sim_ftruncate(int fd, off_t bytes) REPLACES(ftruncate);
int sim_posix_fallocate(int fd, off_t at, off_t bytes) REPLACES(posix_fallocate);
int sim_fsync(int fd) REPLACES(fsync);
int sim_fdatasync(int fd) REPLACES(fdatasync);
FILE *sim_fdopen(int fd, const char *mode) REPLACES(fdopen);

/* ---- the true calls ---- */

int true_openat(int at, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, at, path, flags, mode);
}

int true_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

ssize_t true_pread(int fd, void *to, size_t bytes, uint64_t at)
{
    return syscall(SYS_pread64, fd, to, bytes, at);
}

ssize_t true_pwrite(int fd, const void *from, size_t bytes, uint64_t at)
{
    return syscall(SYS_pwrite64, fd, from, bytes, at);
}

int true_rename(const char *from, const char *to)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int true_unlink(const char *path, bool is_directory)
{
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, is_directory ? AT_REMOVEDIR : 0);
}

int true_mkdir(const char *path, mode_t mode)
{
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int true_link(const char *from, const char *to)
{
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int true_truncate(const char *path, uint64_t bytes)
{
    return (int)syscall(SYS_truncate, path, bytes);
}

static int fail(int errnum)
{
    errno = errnum;
    return -1;
}

/* ---- time and chance ---- */

int sim_clock_gettime(clockid_t id, struct timespec *time)
{
    if (!sched_is_on()) {
        return (int)syscall(SYS_clock_gettime, id, time);
    }
    /* The allocator reads it too, as it sees fit: that must not move time, but who reads it again
     * and again without a switch waits for it to move. */
    static uint64_t read_at, n_reads;
    n_reads = read_at == world->switches ? n_reads + 1 : 0;
    read_at = world->switches;
    world->now_ns += n_reads > READS_PATIENT ? READ_CLOCK_NS : 0;
    uint64_t ns = world->now_ns + (id == CLOCK_REALTIME ? wall_first_s * 1000000000u : 0);
    time->tv_sec = (time_t)(ns / 1000000000u);
    time->tv_nsec = (long)(ns % 1000000000u);
    return 0;
}

int sim_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (!sched_is_on()) {
        return (int)syscall(SYS_nanosleep, time, left);
    }
    sched_sleep((uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec);
    return 0;
}

ssize_t sim_getrandom(void *to, size_t bytes, unsigned flags)
{
    if (!sched_is_on()) {
        return syscall(SYS_getrandom, to, bytes, flags);
    }
    for (size_t i = 0; i < bytes; i++) {
        ((uint8_t *)to)[i] = (uint8_t)chance(STREAM_KERNEL);
    }
    return (ssize_t)bytes;
}

/* It goes into lock files. */
pid_t sim_getpid(void)
{
    return sched_is_on() ? PROCESS : (pid_t)syscall(SYS_getpid);
}

/* ---- LMDB's own threads and locks ---- */

/* Production code has its own through base/thread.h; LMDB copies a file with a thread that writes.
 */
struct foreign {
    void *(*run)(void *arg);
    void *arg;
};

static void run_foreign(void *arg)
{
    struct foreign foreign = *(struct foreign *)arg;
    free(arg);
    (void)foreign.run(foreign.arg);
}

int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg),
                       void *arg)
{
    (void)attributes;
    CHECK(sched_is_on());
    if (fault_happens(FAULT_NO_THREAD)) {
        return EAGAIN;
    }
    struct foreign *foreign = malloc(sizeof(*foreign));
    CHECK(foreign != NULL);
    *foreign = (struct foreign){.run = run, .arg = arg};
    struct fiber *fiber = sched_start("foreign", run_foreign, foreign);
    _Static_assert(sizeof(*thread) >= sizeof(fiber), "it lies in the true one");
    memcpy(thread, &fiber, sizeof(fiber));
    return 0;
}

int sim_pthread_join(pthread_t thread, void **result)
{
    struct fiber *fiber;
    CHECK(result == NULL);
    memcpy(&fiber, &thread, sizeof(fiber));
    sched_join(fiber);
    return 0;
}

int sim_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int result;
    while ((result = pthread_mutex_trylock(mutex)) == EBUSY) {
        CHECK(sched_is_on());
        sched_yield_to_others();
    }
    return result;
}

int sim_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    CHECK(pthread_mutex_unlock(mutex) == 0);
    (void)sched_block(condition, UINT64_MAX, "foreign wait");
    return sim_pthread_mutex_lock(mutex);
}

int sim_pthread_cond_signal(pthread_cond_t *condition)
{
    sched_wake_one(condition);
    return 0;
}

/* ---- files: names ---- */

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    struct stat facts;
    if (!sched_is_on() || !disk_path_is_ours(at, path)) {
        return true_openat(at, path, flags, mode);
    }
    sched_switch();
    bool is_new = (flags & O_CREAT) != 0 && fstatat(at, path, &facts, AT_SYMLINK_NOFOLLOW) != 0;
    if (is_new && fault_disk_is_full()) {
        return fail(ENOSPC);
    }
    if (fault_happens(FAULT_NO_DESCRIPTOR)) {
        return fail(EMFILE);
    }
    /* It is emptied by disk_opened, which keeps what was in it, and must be readable for that. */
    int true_flags = flags & ~(O_TRUNC | O_DSYNC | O_SYNC);
    if ((flags & O_ACCMODE) == O_WRONLY) {
        true_flags = (true_flags & ~O_ACCMODE) | O_RDWR;
    }
    int fd = true_openat(at, path, true_flags, mode);
    if (fd >= 0) {
        disk_opened(fd, at, path, flags, is_new);
    }
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 ? (mode_t)va_arg(arguments, unsigned) : 0;
}

int sim_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int sim_openat(int at, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(at, path, flags, mode);
}

int sim_close(int fd)
{
    if (sched_is_on()) {
        disk_closed(fd);
    }
    return true_close(fd);
}

int sim_mkdir(const char *path, mode_t mode)
{
    if (!sched_is_on() || !disk_path_is_ours(AT_FDCWD, path)) {
        return true_mkdir(path, mode);
    }
    sched_switch();
    return fault_disk_is_full() ? fail(ENOSPC) : disk_make_directory(path, mode);
}

int sim_rename(const char *from, const char *to)
{
    return sim_renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int sim_renameat(int from_at, const char *from, int to_at, const char *to)
{
    if (!sched_is_on() || !disk_path_is_ours(from_at, from)) {
        return (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
    }
    CHECK(from_at == to_at);
    sched_switch();
    return disk_rename(from_at, from, to);
}

int sim_unlinkat(int at, const char *path, int flags)
{
    if (!sched_is_on() || !disk_path_is_ours(at, path)) {
        return (int)syscall(SYS_unlinkat, at, path, flags);
    }
    sched_switch();
    return disk_unlink(at, path, (flags & AT_REMOVEDIR) != 0);
}

int sim_unlink(const char *path)
{
    return sim_unlinkat(AT_FDCWD, path, 0);
}

int sim_rmdir(const char *path)
{
    return sim_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int sim_statvfs(const char *path, struct statvfs *out)
{
    (void)path;
    memset(out, 0, sizeof(*out));
    out->f_bsize = out->f_frsize = BLOCK_BYTES;
    out->f_blocks = 2 * BLOCKS_FREE;
    out->f_bfree = out->f_bavail = fault_disk_is_full() ? BLOCKS_FREE_WHEN_FULL : BLOCKS_FREE;
    return 0;
}

/* ---- files: bytes ---- */

/* A write into the page cache, which may end early, at @at. */
static ssize_t write_at(int fd, const void *from, size_t bytes, uint64_t at)
{
    sched_switch();
    uint64_t size = disk_size(fd);
    uint64_t grows_by = at + bytes > size ? at + bytes - size : 0;
    int errnum = fault_write(at, grows_by, &bytes);
    if (errnum != 0) {
        return fail(errnum);
    }
    disk_will_write(fd, at, at + bytes);
    world_note(at << 20 ^ bytes);
    ssize_t n = true_pwrite(fd, from, bytes, at);
    CHECK(n == (ssize_t)bytes);
    if (disk_fd_is_synced(fd)) {
        sched_sleep(fault_disk_ns(true));
        errnum = fault_sync();
        if (errnum != 0) {
            return fail(errnum);
        }
        disk_sync_range(fd, at, at + bytes);
    }
    return n;
}

ssize_t sim_pwrite(int fd, const void *from, size_t bytes, off_t at)
{
    if (!sched_is_on() || !disk_has(fd)) {
        return true_pwrite(fd, from, bytes, (uint64_t)at);
    }
    return write_at(fd, from, bytes, (uint64_t)at);
}

static bool fails_to_read(int fd)
{
    if (!sched_is_on() || !disk_has(fd)) {
        return false;
    }
    sched_switch();
    return fault_happens(FAULT_EIO_READ);
}

ssize_t sim_pread(int fd, void *to, size_t bytes, off_t at)
{
    return fails_to_read(fd) ? fail(EIO) : true_pread(fd, to, bytes, (uint64_t)at);
}

ssize_t sim_read(int fd, void *to, size_t bytes)
{
    return fails_to_read(fd) ? fail(EIO) : syscall(SYS_read, fd, to, bytes);
}

ssize_t sim_write(int fd, const void *from, size_t bytes)
{
    if (!sched_is_on() || !disk_has(fd)) {
        return syscall(SYS_write, fd, from, bytes);
    }
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = write_at(fd, from, bytes, (uint64_t)at);
    if (n > 0) {
        CHECK(lseek(fd, at + n, SEEK_SET) == at + n);
    }
    return n;
}

ssize_t sim_writev(int fd, const struct iovec *parts, int n)
{
    if (!sched_is_on() || !disk_has(fd)) {
        return syscall(SYS_writev, fd, parts, n);
    }
    ssize_t total = 0;
    for (int i = 0; i < n; i++) {
        ssize_t written = sim_write(fd, parts[i].iov_base, parts[i].iov_len);
        if (written < 0) {
            return total > 0 ? total : -1;
        }
        total += written;
        if ((size_t)written < parts[i].iov_len) {
            break;
        }
    }
    return total;
}

int sim_ftruncate(int fd, off_t bytes)
{
    if (sched_is_on() && disk_has(fd)) {
        sched_switch();
        if ((uint64_t)bytes > disk_size(fd) && fault_disk_is_full()) {
            return fail(ENOSPC);
        }
        disk_will_resize(fd, (uint64_t)bytes);
    }
    return (int)syscall(SYS_ftruncate, fd, bytes);
}

int sim_posix_fallocate(int fd, off_t at, off_t bytes)
{
    if (sched_is_on() && disk_has(fd)) {
        sched_switch();
        if (fault_disk_is_full()) {
            return ENOSPC;
        }
        uint64_t end = (uint64_t)(at + bytes);
        if (end > disk_size(fd)) {
            disk_will_resize(fd, end);
        }
    }
    return syscall(SYS_fallocate, fd, 0, at, bytes) == 0 ? 0 : errno;
}

static int sync_file(int fd)
{
    uint64_t mark = disk_sync_begin(fd);
    sched_sleep(fault_disk_ns(true));
    int errnum = fault_sync();
    disk_sync_end(fd, mark, errnum != 0);
    return errnum != 0 ? fail(errnum) : 0;
}

int sim_fsync(int fd)
{
    return sched_is_on() && disk_has(fd) ? sync_file(fd) : (int)syscall(SYS_fsync, fd);
}

int sim_fdatasync(int fd)
{
    return sched_is_on() && disk_has(fd) ? sync_file(fd) : (int)syscall(SYS_fdatasync, fd);
}

/* ---- streams, whose own reads and closes are the C library's ---- */

static ssize_t read_stream(void *cookie, char *to, size_t bytes)
{
    return sim_read((int)(intptr_t)cookie, to, bytes);
}

static int close_stream(void *cookie)
{
    return sim_close((int)(intptr_t)cookie);
}

FILE *sim_fdopen(int fd, const char *mode)
{
    CHECK(strcmp(mode, "r") == 0);
    return fopencookie((void *)(intptr_t)fd, mode,
                       (cookie_io_functions_t){.read = read_stream, .close = close_stream});
}
