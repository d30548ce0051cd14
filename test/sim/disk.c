/* What the page cache holds, and what a loss of power leaves of it.
 *
 * The true file is what everybody reads: the page cache.  Before bytes change for the first time
 * since they were synced, they are kept here; a sync forgets what was kept.  When the power is lost
 * any sector (512 bytes) of a kept page may be as it was kept or as it is, and a file may have the
 * size that it had.  A sync that failed keeps its pages for good, until they are written again:
 * the kernel takes them for clean, and they are not on the disk.
 *
 * Names are the same one level up: making, renaming and removing a name are kept with their
 * directory until that is synced.  When the power is lost the first few of what a directory keeps
 * have happened, in their order, and the others have not.  To undo, what a rename or a removal
 * takes away gets another name first, in the folder DIRECTORY.lost.
 *
 * A process that is only killed, or ends, loses nothing of this, and the kernel may take its time:
 * what was not synced goes to the next life in a file, and a later loss of power may still take it.
 */
#define _GNU_SOURCE
#include "test/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096,
    SECTOR_BYTES = 512,
    FDS_MAX = 1024,
    FILES_MAX = 4096,
    BUCKETS = 64,
    NAME_CHANGES_MAX = 16384,
    PATH_BYTES = 512
};

struct kept_page {
    struct kept_page *next;
    uint64_t number;
    uint64_t changed; /* The last change's number. */
    bool is_lost;     /* Its sync has failed: clean, and not on the disk. */
    uint8_t before[PAGE_BYTES];
};

struct disk_file {
    ino_t inode;
    uint64_t synced_size;
    struct kept_page *pages[BUCKETS];
};

enum name_change_kind {
    NAME_MADE,
    NAME_MADE_DIRECTORY,
    NAME_RENAMED,
    NAME_REMOVED,
    NAME_REMOVED_DIRECTORY
};

struct name_change {
    enum name_change_kind kind;
    ino_t directory;
    char name[PATH_BYTES], to[PATH_BYTES]; /* Whole paths. */
    unsigned kept; /* The name of what was there, in DIRECTORY.lost; 0: nothing. */
    mode_t mode;   /* Of a removed directory. */
    bool is_safe;
};

static struct {
    struct {
        struct disk_file *file; /* NULL: not ours, or a directory. */
        ino_t inode;
        bool is_open, is_synced, is_directory;
    } fds[FDS_MAX];
    struct disk_file *files[FILES_MAX];
    size_t n_files;
    struct name_change *changes[NAME_CHANGES_MAX];
    size_t n_changes;
    uint64_t n_writes;
} disk;

/* ---- paths ---- */

static void whole_path(int at, const char *path, char out[PATH_BYTES])
{
    if (path[0] == '/' || at == AT_FDCWD) {
        (void)snprintf(out, PATH_BYTES, "%s", path);
        return;
    }
    char link[64], folder[PATH_BYTES];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
    ssize_t n = readlink(link, folder, sizeof(folder) - 1);
    CHECK(n > 0);
    folder[n] = '\0';
    CHECK(snprintf(out, PATH_BYTES, "%s/%s", folder, path) < PATH_BYTES);
}

bool disk_path_is_ours(int at, const char *path)
{
    char whole[PATH_BYTES];
    whole_path(at, path, whole);
    size_t n = strlen(world->directory);
    return strncmp(whole, world->directory, n) == 0 && (whole[n] == '/' || whole[n] == '\0');
}

static ino_t folder_of(const char *path)
{
    char folder[PATH_BYTES];
    struct stat facts;
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    CHECK(slash != NULL);
    *slash = '\0';
    CHECK(stat(folder, &facts) == 0);
    return facts.st_ino;
}

static void kept_path(unsigned kept, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s.lost/%u", world->directory, kept);
}

/* ---- files ---- */

static void forget_pages(struct disk_file *file)
{
    for (int i = 0; i < BUCKETS; i++) {
        while (file->pages[i] != NULL) {
            struct kept_page *page = file->pages[i];
            file->pages[i] = page->next;
            free(page);
        }
    }
}

static struct disk_file *file_of(ino_t inode)
{
    for (size_t i = 0; i < disk.n_files; i++) {
        if (disk.files[i]->inode == inode) {
            return disk.files[i];
        }
    }
    struct disk_file *file = calloc(1, sizeof(*file));
    CHECK(file != NULL && disk.n_files < FILES_MAX);
    file->inode = inode;
    disk.files[disk.n_files++] = file;
    return file;
}

uint64_t disk_size(int fd)
{
    struct stat facts;
    CHECK(fstat(fd, &facts) == 0);
    return (uint64_t)facts.st_size;
}

static bool is_known(ino_t inode)
{
    for (size_t i = 0; i < disk.n_files; i++) {
        if (disk.files[i]->inode == inode) {
            return true;
        }
    }
    return false;
}

/* ---- from life to life ---- */

static void cache_path(char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s.lost/cache", world->directory);
}

static void put(FILE *to, const void *from, size_t bytes)
{
    CHECK(fwrite(from, 1, bytes, to) == bytes);
}

static void get(FILE *from, void *to, size_t bytes)
{
    CHECK(fread(to, 1, bytes, from) == bytes);
}

static void save_file(FILE *to, const struct disk_file *file)
{
    put(to, &file->inode, sizeof(file->inode));
    put(to, &file->synced_size, sizeof(file->synced_size));
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct kept_page *page = file->pages[i]; page != NULL; page = page->next) {
            put(to, page, sizeof(*page));
        }
    }
    static const struct kept_page end = {.number = UINT64_MAX};
    put(to, &end, sizeof(end));
}

static void load_file(FILE *from)
{
    ino_t inode;
    struct kept_page *page = NULL;
    get(from, &inode, sizeof(inode));
    struct disk_file *file = file_of(inode);
    get(from, &file->synced_size, sizeof(file->synced_size));
    for (;;) {
        page = calloc(1, sizeof(*page));
        CHECK(page != NULL);
        get(from, page, sizeof(*page));
        if (page->number == UINT64_MAX) {
            break;
        }
        page->next = file->pages[page->number % BUCKETS];
        file->pages[page->number % BUCKETS] = page;
    }
    free(page);
}

void disk_save(void)
{
    char path[PATH_BYTES];
    cache_path(path);
    FILE *to = fopen(path, "wb");
    CHECK(to != NULL);
    put(to, &disk.n_writes, sizeof(disk.n_writes));
    put(to, &disk.n_files, sizeof(disk.n_files));
    for (size_t i = 0; i < disk.n_files; i++) {
        save_file(to, disk.files[i]);
    }
    for (size_t i = 0; i < disk.n_changes; i++) {
        if (!disk.changes[i]->is_safe) {
            put(to, disk.changes[i], sizeof(*disk.changes[i]));
        }
    }
    CHECK(fclose(to) == 0);
}

void disk_begin(void)
{
    size_t n_files;
    char path[PATH_BYTES];
    struct name_change change;
    memset(&disk, 0, sizeof(disk));
    cache_path(path);
    FILE *from = fopen(path, "rb");
    if (from == NULL) {
        return; /* The first life, or one after a loss of power. */
    }
    get(from, &disk.n_writes, sizeof(disk.n_writes));
    get(from, &n_files, sizeof(n_files));
    for (size_t i = 0; i < n_files; i++) {
        load_file(from);
    }
    while (fread(&change, sizeof(change), 1, from) == 1) {
        disk.changes[disk.n_changes] = malloc(sizeof(change));
        CHECK(disk.changes[disk.n_changes] != NULL && disk.n_changes < NAME_CHANGES_MAX - 1);
        *disk.changes[disk.n_changes++] = change;
    }
    (void)fclose(from);
    (void)true_unlink(path, false);
}

/* ---- files that are open ---- */

void disk_opened(int fd, int at, const char *path, int flags, bool is_new)
{
    struct stat facts;
    CHECK(fd < FDS_MAX && fstat(fd, &facts) == 0);
    disk.fds[fd].is_open = true;
    disk.fds[fd].inode = facts.st_ino;
    disk.fds[fd].is_synced = (flags & (O_DSYNC | O_SYNC)) != 0;
    disk.fds[fd].is_directory = S_ISDIR(facts.st_mode);
    disk.fds[fd].file = NULL;
    if (!S_ISREG(facts.st_mode)) {
        return;
    }
    bool was_known = is_known(facts.st_ino);
    struct disk_file *file = file_of(facts.st_ino);
    disk.fds[fd].file = file;
    if (is_new) {
        forget_pages(file); /* Of a file that had this inode before. */
        file->synced_size = 0;
        disk_created(at, path);
    } else if (!was_known) {
        file->synced_size = (uint64_t)facts.st_size;
    }
    if ((flags & O_TRUNC) != 0 && facts.st_size > 0) {
        disk_will_resize(fd, 0);
        CHECK(ftruncate(fd, 0) == 0);
    }
}

void disk_closed(int fd)
{
    if (fd >= 0 && fd < FDS_MAX) {
        disk.fds[fd].is_open = false;
        disk.fds[fd].file = NULL;
    }
}

bool disk_has(int fd)
{
    return fd >= 0 && fd < FDS_MAX && disk.fds[fd].is_open;
}

bool disk_fd_is_synced(int fd)
{
    return disk.fds[fd].is_synced;
}

bool disk_is_directory(int fd)
{
    return disk.fds[fd].is_directory;
}

/* ---- pages ---- */

static struct kept_page *find_page(struct disk_file *file, uint64_t number)
{
    struct kept_page *page = file->pages[number % BUCKETS];
    while (page != NULL && page->number != number) {
        page = page->next;
    }
    return page;
}

static void keep_page(int fd, uint64_t number)
{
    struct disk_file *file = disk.fds[fd].file;
    struct kept_page *page = find_page(file, number);
    if (page == NULL) {
        page = calloc(1, sizeof(*page));
        CHECK(page != NULL);
        page->number = number;
        CHECK(true_pread(fd, page->before, PAGE_BYTES, number * PAGE_BYTES) >= 0);
        page->next = file->pages[number % BUCKETS];
        file->pages[number % BUCKETS] = page;
    }
    page->changed = ++disk.n_writes;
    page->is_lost = false;
}

void disk_will_write(int fd, uint64_t from, uint64_t to)
{
    CHECK(disk.fds[fd].file != NULL);
    for (uint64_t number = from / PAGE_BYTES; number * PAGE_BYTES < to; number++) {
        keep_page(fd, number);
    }
}

void disk_will_resize(int fd, uint64_t size)
{
    uint64_t now = disk_size(fd);
    if (size < now) {
        disk_will_write(fd, size, now);
    }
}

/* Of what is safe: pages last changed up to @mark, and within [from, to). */
static void forget_safe(struct disk_file *file, uint64_t mark, uint64_t from, uint64_t to)
{
    for (int i = 0; i < BUCKETS; i++) {
        struct kept_page **link = &file->pages[i];
        while (*link != NULL) {
            struct kept_page *page = *link;
            if (page->changed <= mark && !page->is_lost && page->number >= from &&
                page->number < to) {
                *link = page->next;
                free(page);
            } else {
                link = &page->next;
            }
        }
    }
}

static void lose(struct disk_file *file, uint64_t mark)
{
    for (int i = 0; i < BUCKETS; i++) {
        for (struct kept_page *page = file->pages[i]; page != NULL; page = page->next) {
            page->is_lost = page->is_lost || page->changed <= mark;
        }
    }
}

static void drop_kept_name(struct name_change *change)
{
    char path[PATH_BYTES];
    if (change->kept != 0) {
        kept_path(change->kept, path);
        (void)true_unlink(path, false);
        change->kept = 0;
    }
    change->is_safe = true;
}

/* Of a directory, what is to be safe is counted by the changes of names. */
uint64_t disk_sync_begin(int fd)
{
    return disk.fds[fd].is_directory ? disk.n_changes : disk.n_writes;
}

void disk_sync_end(int fd, uint64_t mark, bool has_failed)
{
    if (!disk_has(fd) || world->flaw == FLAW_DISK) {
        return; /* It was closed meanwhile. */
    }
    struct disk_file *file = disk.fds[fd].file;
    if (disk.fds[fd].is_directory) {
        for (size_t i = 0; !has_failed && i < mark; i++) {
            if (disk.changes[i]->directory == disk.fds[fd].inode && !disk.changes[i]->is_safe) {
                drop_kept_name(disk.changes[i]);
            }
        }
    } else if (has_failed) {
        lose(file, mark);
    } else {
        forget_safe(file, mark, 0, UINT64_MAX);
        file->synced_size = disk_size(fd);
    }
}

void disk_sync_range(int fd, uint64_t from, uint64_t to)
{
    if (disk_has(fd) && world->flaw != FLAW_DISK) {
        struct disk_file *file = disk.fds[fd].file;
        forget_safe(file, UINT64_MAX, from / PAGE_BYTES, (to + PAGE_BYTES - 1) / PAGE_BYTES);
        file->synced_size = to > file->synced_size ? to : file->synced_size;
    }
}

/* ---- names ---- */

static struct name_change *new_change(enum name_change_kind kind, const char *path)
{
    struct name_change *change = calloc(1, sizeof(*change));
    CHECK(change != NULL && disk.n_changes < NAME_CHANGES_MAX);
    change->kind = kind;
    change->directory = folder_of(path);
    (void)snprintf(change->name, sizeof(change->name), "%s", path);
    disk.changes[disk.n_changes++] = change;
    return change;
}

/* Another name for what stands there, if anything. */
static unsigned keep_name(const char *path)
{
    char kept[PATH_BYTES];
    struct stat facts;
    if (lstat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        return 0;
    }
    kept_path(++world->n_kept, kept);
    (void)true_unlink(kept, false);
    CHECK(true_link(path, kept) == 0);
    return world->n_kept;
}

void disk_created(int at, const char *path)
{
    char whole[PATH_BYTES];
    whole_path(at, path, whole);
    (void)new_change(NAME_MADE, whole);
}

int disk_make_directory(const char *path, mode_t mode)
{
    if (true_mkdir(path, mode) != 0) {
        return -1;
    }
    (void)new_change(NAME_MADE_DIRECTORY, path);
    return 0;
}

int disk_rename(int at, const char *from, const char *to)
{
    char whole_from[PATH_BYTES], whole_to[PATH_BYTES];
    whole_path(at, from, whole_from);
    whole_path(at, to, whole_to);
    unsigned kept = keep_name(whole_to);
    if (true_rename(whole_from, whole_to) != 0) {
        return -1;
    }
    struct name_change *change = new_change(NAME_RENAMED, whole_from);
    (void)snprintf(change->to, sizeof(change->to), "%s", whole_to);
    change->kept = kept;
    return 0;
}

int disk_unlink(int at, const char *path, bool is_directory)
{
    char whole[PATH_BYTES];
    struct stat facts;
    whole_path(at, path, whole);
    unsigned kept = is_directory ? 0 : keep_name(whole);
    mode_t mode = stat(whole, &facts) == 0 ? facts.st_mode & 0777 : 0;
    if (true_unlink(whole, is_directory) != 0) {
        return -1;
    }
    struct name_change *change =
        new_change(is_directory ? NAME_REMOVED_DIRECTORY : NAME_REMOVED, whole);
    change->kept = kept;
    change->mode = mode;
    return 0;
}

/* ---- the crash ---- */

static void restore_page(int fd, const struct kept_page *page, uint64_t size, bool is_all)
{
    for (uint64_t at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
        uint64_t place = page->number * PAGE_BYTES + at;
        if (place < size && (is_all || chance_is(STREAM_DISK, 2))) {
            uint64_t bytes = size - place < SECTOR_BYTES ? size - place : SECTOR_BYTES;
            CHECK(true_pwrite(fd, page->before + at, bytes, place) == (ssize_t)bytes);
        }
    }
}

static void restore_file(const char *path, struct disk_file *file, bool is_all)
{
    int fd = true_openat(AT_FDCWD, path, O_RDWR, 0);
    CHECK(fd >= 0);
    uint64_t size = disk_size(fd), kept = size;
    if (size != file->synced_size && (is_all || chance_is(STREAM_DISK, 2))) {
        kept = file->synced_size;
        CHECK(true_truncate(path, kept) == 0);
    }
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct kept_page *page = file->pages[i]; page != NULL; page = page->next) {
            restore_page(fd, page, kept, is_all);
        }
    }
    (void)true_close(fd);
}

static void undo(const struct name_change *change)
{
    char kept[PATH_BYTES];
    kept_path(change->kept, kept);
    switch (change->kind) {
    case NAME_MADE:
        (void)true_unlink(change->name, false);
        break;
    case NAME_MADE_DIRECTORY: /* With all that is in it. */
        kept_path(++world->n_kept, kept);
        (void)true_rename(change->name, kept);
        break;
    case NAME_RENAMED:
        (void)true_rename(change->to, change->name);
        if (change->kept != 0) {
            (void)true_rename(kept, change->to);
        }
        break;
    case NAME_REMOVED:
        (void)true_rename(kept, change->name);
        break;
    case NAME_REMOVED_DIRECTORY:
        (void)true_mkdir(change->name, change->mode);
        break;
    }
}

/* An earlier change of the same directory has not happened. */
static bool is_behind_a_lost_one(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (disk.changes[i]->directory == disk.changes[n]->directory && !disk.changes[i]->is_safe) {
            return true;
        }
    }
    return false;
}

static void choose_safe_names(bool is_all)
{
    for (size_t i = 0; i < disk.n_changes; i++) {
        struct name_change *change = disk.changes[i];
        if (!change->is_safe && !is_all && !is_behind_a_lost_one(i)) {
            change->is_safe = !chance_is(STREAM_DISK, 3);
        }
    }
}

static void restore_files_of(const char *folder, bool is_all)
{
    struct dirent *entry;
    DIR *dir = opendir(folder);
    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        char path[PATH_BYTES];
        struct stat facts;
        CHECK(snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) < PATH_BYTES);
        bool is_folder_itself = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (is_folder_itself || lstat(path, &facts) != 0) {
            continue;
        }
        if (S_ISDIR(facts.st_mode)) {
            restore_files_of(path, is_all);
        } else if (is_known(facts.st_ino)) {
            restore_file(path, file_of(facts.st_ino), is_all);
        }
    }
    closedir(dir);
}

void disk_crash(enum fault_kind how)
{
    if (how == GONE_KILLED) {
        disk_save();
        return;
    }
    bool is_all = how == GONE_POWER_ALL;
    /* Bytes first: names lead to files that have others afterwards. */
    restore_files_of(world->directory, is_all);
    char lost[PATH_BYTES];
    (void)snprintf(lost, sizeof(lost), "%s.lost", world->directory);
    restore_files_of(lost, is_all);
    choose_safe_names(is_all);
    for (size_t i = disk.n_changes; i > 0; i--) {
        if (!disk.changes[i - 1]->is_safe) {
            undo(disk.changes[i - 1]);
        }
    }
}
