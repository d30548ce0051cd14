/* The pages of an LMDB file are looked at before LMDB maps them.
 *
 * LMDB (0.9) has no checksums, and follows what it finds: an offset out of its page is a crash, a
 * page of zeros an assertion that ends the process, a file that is cut off a SIGBUS, and a page
 * that stands in another's place hides rows.  Records have checksums of their own, which say
 * nothing of what holds them together.  This looks at that: each tree is gone through from its
 * root, and what is free is held against what is used.
 *
 * The format, little-endian, of a machine with 64 bits:
 *
 *   page    u64 its number | u16 | u16 kind | u16 end of the offsets, u16 begin of the nodes
 *           then an u16 offset for each node; of an overflow page u32 pages instead of the last two
 *   meta    (pages 0 and 1, behind the head) u32 magic | u32 version | u64 address | u64 map bytes
 *           table of free pages | main table | u64 last page | u64 transaction
 *   table   u32 page bytes (in the first of a meta) | u16 flags | u16 depth | u64 branch pages
 *           u64 leaf pages | u64 overflow pages | u64 entries | u64 root, all ones where it is
 * empty node    u16 low, u16 high, u16 flags, u16 key bytes | key | value of a branch low, high and
 * flags are the child's number, of a leaf low and high are the bytes of the value, which is a
 * page's number where it is large, and a table where the flags say so
 *
 * A file may be shorter than its last page says: what was made and freed by one transaction is not
 * written.  Such pages are in nobody's tree. */
#include "base/pages.h"

#include "base/buf.h"
#include "base/dir.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGES_READ_MAX = 65536,     /* 256 MiB: some 60 ms, where they are in memory. */
    BEYOND_PAGES_MAX = 1 << 20, /* So many pages may be made and not written. */
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    PAGE_HEAD_BYTES = 16,
    NODE_HEAD_BYTES = 8,
    TABLE_BYTES = 48,
    META_BYTES = 136,
    TABLES_MAX = 16,
    DEPTH_MAX = 32,
    FIRST_PAGE = 2, /* Behind the two metas. */
    KIND_BRANCH = 1,
    KIND_LEAF = 2,
    KIND_OVERFLOW = 4,
    KIND_META = 8,
    KINDS = 15 | 32, /* 32: leaves without values, which we have not. */
    NODE_IS_LARGE = 1,
    NODE_IS_TABLE = 2,
};
static const uint32_t MAGIC = 0xBEEFC0DE;
static const uint32_t FORMAT = 1;

struct table {
    uint64_t root, entries;
    unsigned depth;
    bool is_free;         /* The table of free pages. */
    bool leads_to_tables; /* The main one. */
};

/* One page on the way from a root to a leaf. */
struct step {
    uint8_t *page;
    unsigned at, n;
};

struct pages {
    const char *path;
    int fd;
    size_t page_bytes;
    uint64_t n;       /* By the meta; */
    uint64_t n_there; /* and by the size of the file. */
    uint8_t *seen;    /* A bit for each that is there. */
    uint64_t n_read;
    bool is_whole; /* Leaves are read, too. */
    struct table tables[TABLES_MAX];
    size_t n_tables;
    struct step steps[DEPTH_MAX];
};

static enum errcode broken(const struct pages *p, uint64_t page, const char *what, struct err *err)
{
    (void)err_set(err, ERR_CORRUPT, "\"%s\" is damaged: page %llu %s", p->path,
                  (unsigned long long)page, what);
    err_hint(err, "Look after the disk, and restore the data directory from a backup.");
    return ERR_CORRUPT;
}

/* ---- reading ---- */

static enum errcode read_at(const struct pages *p, uint64_t at, void *to, size_t bytes,
                            struct err *err)
{
    uint8_t *out = to;
    while (bytes > 0) {
        ssize_t n = pread(p->fd, out, bytes, (off_t)at);
        if (n < 0 && errno != EINTR) {
            return err_set_errno(err, ERR_IO, errno, "reading \"%s\"", p->path);
        }
        if (n == 0) {
            return broken(p, at / p->page_bytes, "is cut off", err);
        }
        out += n > 0 ? n : 0;
        at += n > 0 ? (uint64_t)n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return ERR_OK;
}

/* Each page belongs to one: a tree that has it twice, or a list of free ones that has it as well,
 * would be written over. */
static enum errcode take(struct pages *p, uint64_t page, struct err *err)
{
    if (page < FIRST_PAGE || page >= p->n) {
        return broken(p, page, "is none of the file's", err);
    }
    if (page >= p->n_there) {
        return broken(p, page, "is cut off", err);
    }
    if ((p->seen[page / 8] >> page % 8 & 1) != 0) {
        return broken(p, page, "is used twice", err);
    }
    p->seen[page / 8] |= (uint8_t)(1U << page % 8);
    return ERR_OK;
}

static enum errcode read_page(struct pages *p, uint64_t page, unsigned kind, uint8_t *to,
                              struct err *err)
{
    size_t bytes = kind == KIND_OVERFLOW ? PAGE_HEAD_BYTES : p->page_bytes;
    enum errcode code = read_at(p, page * p->page_bytes, to, bytes, err);
    p->n_read++;
    if (code != ERR_OK) {
        return code;
    }
    if (le_get_u64(to) != page) {
        return broken(p, page, "is another page", err);
    }
    return (le_get_u16(to + 10) & KINDS) == kind ? ERR_OK
                                                 : broken(p, page, "is of another kind", err);
}

/* ---- what is in a page ---- */

/* A node; NULL where it is not within its page. */
static const uint8_t *node_of(const struct pages *p, const uint8_t *page, unsigned at)
{
    size_t begin = le_get_u16(page + 14);
    size_t offset = le_get_u16(page + PAGE_HEAD_BYTES + (size_t)2 * at);
    if (offset < begin || offset + NODE_HEAD_BYTES > p->page_bytes) {
        return NULL;
    }
    size_t key_bytes = le_get_u16(page + offset + 6);
    return offset + NODE_HEAD_BYTES + key_bytes <= p->page_bytes ? page + offset : NULL;
}

/* Keys rise; those of free pages are numbers of this machine. */
static bool is_in_order(const struct table *table, const uint8_t *a, const uint8_t *b)
{
    size_t a_bytes = le_get_u16(a + 6), b_bytes = le_get_u16(b + 6);
    const uint8_t *a_key = a + NODE_HEAD_BYTES, *b_key = b + NODE_HEAD_BYTES;
    if (table->is_free) {
        return a_bytes == 8 && b_bytes == 8 && le_get_u64(a_key) < le_get_u64(b_key);
    }
    int order = memcmp(a_key, b_key, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order < 0 || (order == 0 && a_bytes < b_bytes);
}

/* The first key of a branch is not looked at by anybody. */
static enum errcode check_keys(const struct pages *p, const struct table *table,
                               const uint8_t *page, unsigned first, unsigned n, struct err *err)
{
    const uint8_t *last = NULL;
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *node = node_of(p, page, i);
        if (node == NULL) {
            return broken(p, le_get_u64(page), "has a node that is not within it", err);
        }
        if (i > first && !is_in_order(table, last, node)) {
            return broken(p, le_get_u64(page), "has keys that are not in order", err);
        }
        last = node;
    }
    return ERR_OK;
}

static enum errcode count_nodes(const struct pages *p, const uint8_t *page, unsigned n_min,
                                unsigned *n, struct err *err)
{
    size_t end = le_get_u16(page + 12), begin = le_get_u16(page + 14);
    if (end < PAGE_HEAD_BYTES || end % 2 != 0 || end > begin || begin > p->page_bytes) {
        return broken(p, le_get_u64(page), "has no room for what it says it has", err);
    }
    *n = (unsigned)(end - PAGE_HEAD_BYTES) / 2;
    return *n >= n_min ? ERR_OK : broken(p, le_get_u64(page), "has too few nodes", err);
}

static enum errcode add_table(struct pages *p, const uint8_t *bytes, bool is_free, struct err *err)
{
    struct table *t = &p->tables[p->n_tables];
    if (p->n_tables == TABLES_MAX) {
        return broken(p, 0, "leads to more tables than there are", err);
    }
    *t = (struct table){.root = le_get_u64(bytes + 40),
                        .entries = le_get_u64(bytes + 32),
                        .depth = le_get_u16(bytes + 6),
                        .is_free = is_free};
    p->n_tables++;
    if (!is_free && le_get_u16(bytes + 4) != 0) {
        return broken(p, t->root, "is of a table of another kind", err);
    }
    if (t->root == UINT64_MAX) {
        return t->entries == 0 ? ERR_OK : broken(p, 0, "leads to a table without its pages", err);
    }
    return t->depth > 0 && t->depth <= DEPTH_MAX ? ERR_OK : broken(p, t->root, "is too deep", err);
}

/* The numbers of free pages: their count, then they. */
static enum errcode take_free(struct pages *p, uint64_t page, const uint8_t *list, size_t bytes,
                              struct err *err)
{
    uint64_t n = bytes >= 8 ? le_get_u64(list) : UINT64_MAX;
    if (n > bytes / 8 - 1) {
        return broken(p, page, "has a list of free pages that is too short", err);
    }
    for (uint64_t i = 1; i <= n; i++) {
        uint64_t number = le_get_u64(list + 8 * i);
        bool is_written = number < p->n_there || number >= p->n;
        enum errcode code = is_written ? take(p, number, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum errcode take_large(struct pages *p, const struct table *table, uint64_t page,
                               size_t bytes, struct err *err)
{
    uint8_t head[PAGE_HEAD_BYTES];
    enum errcode code = take(p, page, err);
    if (code == ERR_OK) {
        code = read_page(p, page, KIND_OVERFLOW, head, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    uint64_t n = le_get_u32(head + 12);
    if (PAGE_HEAD_BYTES + (uint64_t)bytes > n * p->page_bytes) {
        return broken(p, page, "is too short for its value", err);
    }
    for (uint64_t i = 1; i < n && code == ERR_OK; i++) {
        code = take(p, page + i, err);
    }
    if (code != ERR_OK || !table->is_free) {
        return code;
    }
    uint8_t *list = mem_alloc(MEM_GENERAL, bytes + 1); /* No more than the pages that are there. */
    if (list == NULL) {
        return err_no_memory(err);
    }
    code = read_at(p, page * p->page_bytes + PAGE_HEAD_BYTES, list, bytes, err);
    if (code == ERR_OK) {
        code = take_free(p, page, list, bytes, err);
    }
    mem_free(MEM_GENERAL, list);
    return code;
}

static enum errcode check_value(struct pages *p, const struct table *table, const uint8_t *page,
                                const uint8_t *node, struct err *err)
{
    static const char outside[] = "has a value that is not within it";
    unsigned flags = le_get_u16(node + 4);
    size_t bytes = le_get_u16(node) | (size_t)le_get_u16(node + 2) << 16;
    const uint8_t *value = node + NODE_HEAD_BYTES + le_get_u16(node + 6);
    size_t room = (size_t)(page + p->page_bytes - value);
    uint64_t number = le_get_u64(page);
    if (flags > NODE_IS_TABLE) {
        return broken(p, number, "has a node that makes no sense", err);
    }
    if (flags == NODE_IS_LARGE) {
        return room < 8 ? broken(p, number, outside, err)
                        : take_large(p, table, le_get_u64(value), bytes, err);
    }
    if (bytes > room) {
        return broken(p, number, outside, err);
    }
    if (flags == NODE_IS_TABLE) {
        return bytes != TABLE_BYTES ? broken(p, number, outside, err)
                                    : add_table(p, value, false, err);
    }
    return table->is_free ? take_free(p, number, value, bytes, err) : ERR_OK;
}

static enum errcode check_leaf(struct pages *p, const struct table *table, const uint8_t *page,
                               uint64_t *entries, struct err *err)
{
    unsigned n;
    enum errcode code = count_nodes(p, page, 1, &n, err);
    if (code == ERR_OK) {
        code = check_keys(p, table, page, 0, n, err);
    }
    for (unsigned i = 0; i < n && code == ERR_OK; i++) {
        code = check_value(p, table, page, node_of(p, page, i), err);
    }
    *entries += n;
    return code;
}

/* ---- a tree ---- */

/* A leaf is only taken where leaves are not read. */
static enum errcode go_down(struct pages *p, const struct table *table, unsigned level,
                            uint64_t page, uint64_t *entries, struct err *err)
{
    struct step *step = &p->steps[level];
    bool is_leaf = level + 1 == table->depth;
    bool is_read = !is_leaf || p->is_whole || table->leads_to_tables;
    enum errcode code = take(p, page, err);
    *step = (struct step){.page = step->page};
    if (code != ERR_OK || !is_read) {
        return code;
    }
    if (step->page == NULL) {
        step->page = mem_alloc(MEM_GENERAL, p->page_bytes);
        if (step->page == NULL) {
            return err_no_memory(err);
        }
    }
    code = read_page(p, page, is_leaf ? KIND_LEAF : KIND_BRANCH, step->page, err);
    if (code != ERR_OK) {
        return code;
    }
    if (is_leaf) {
        return check_leaf(p, table, step->page, entries, err);
    }
    code = count_nodes(p, step->page, table->is_free ? 1 : 2, &step->n, err);
    return code == ERR_OK ? check_keys(p, table, step->page, 1, step->n, err) : code;
}

static enum errcode check_table(struct pages *p, const struct table *table, struct err *err)
{
    uint64_t entries = 0;
    unsigned level = 0;
    if (table->root == UINT64_MAX) {
        return ERR_OK;
    }
    enum errcode code = go_down(p, table, 0, table->root, &entries, err);
    while (code == ERR_OK && (p->is_whole || p->n_read < PAGES_READ_MAX)) {
        struct step *step = &p->steps[level];
        if (step->at == step->n) {
            if (level == 0) {
                break;
            }
            level--;
            continue;
        }
        const uint8_t *node = node_of(p, step->page, step->at++);
        uint64_t child = le_get_u16(node) | (uint64_t)le_get_u16(node + 2) << 16 |
                         (uint64_t)le_get_u16(node + 4) << 32;
        code = go_down(p, table, ++level, child, &entries, err);
    }
    if (code == ERR_OK && p->is_whole && entries != table->entries) {
        return broken(p, table->root, "leads to more or fewer entries than its table has", err);
    }
    return code;
}

/* ---- the metas ---- */

static bool is_meta(const uint8_t *page)
{
    const uint8_t *meta = page + PAGE_HEAD_BYTES;
    return (le_get_u16(page + 10) & KIND_META) != 0 && le_get_u32(meta) == MAGIC &&
           le_get_u32(meta + 4) == FORMAT;
}

/* The newer meta; *is_there = false where there are not two: LMDB says so. */
static enum errcode read_meta(struct pages *p, uint8_t *meta, bool *is_there, struct err *err)
{
    enum {
        BYTES = PAGE_HEAD_BYTES + META_BYTES
    };
    uint8_t first[BYTES], second[BYTES];
    struct stat facts;
    *is_there = false;
    if (fstat(p->fd, &facts) != 0) {
        return err_set_errno(err, ERR_IO, errno, "asking for the size of \"%s\"", p->path);
    }
    if (facts.st_size < BYTES) {
        return ERR_OK;
    }
    p->page_bytes = PAGE_BYTES_MIN; /* For a message. */
    enum errcode code = read_at(p, 0, first, BYTES, err);
    if (code != ERR_OK || !is_meta(first)) {
        return code;
    }
    size_t bytes = le_get_u32(first + PAGE_HEAD_BYTES + 24);
    if (bytes < PAGE_BYTES_MIN || bytes > PAGE_BYTES_MAX || (bytes & (bytes - 1)) != 0) {
        return broken(p, 0, "has a size of pages that makes no sense", err);
    }
    p->page_bytes = bytes;
    p->n_there = (uint64_t)facts.st_size / bytes;
    code = read_at(p, bytes, second, BYTES, err);
    if (code != ERR_OK || !is_meta(second)) {
        return code;
    }
    bool is_second = le_get_u64(second + BYTES - 8) > le_get_u64(first + BYTES - 8);
    memcpy(meta, (is_second ? second : first) + PAGE_HEAD_BYTES, META_BYTES);
    *is_there = true;
    return le_get_u32(meta + 24) == bytes
               ? ERR_OK
               : broken(p, is_second, "has a size of pages that makes no sense", err);
}

static enum errcode check_pages(struct pages *p, const uint8_t *meta, struct err *err)
{
    p->n = le_get_u64(meta + 120) + 1;
    if (p->n < FIRST_PAGE || p->n > p->n_there * 2 + BEYOND_PAGES_MAX) {
        return broken(p, p->n - 1, "cannot be the last one", err);
    }
    p->is_whole = p->n_there <= PAGES_READ_MAX;
    p->seen = mem_zalloc(MEM_GENERAL, p->n_there / 8 + 1);
    if (p->seen == NULL) {
        return err_no_memory(err);
    }
    if (p->is_whole) {
        (void)posix_fadvise(p->fd, 0, 0, POSIX_FADV_WILLNEED);
    }
    enum errcode code = add_table(p, meta + 24, true, err);
    if (code == ERR_OK) {
        code = add_table(p, meta + 24 + TABLE_BYTES, false, err);
        p->tables[1].leads_to_tables = true;
    }
    for (size_t i = 0; i < p->n_tables && code == ERR_OK; i++) { /* More are found on the way. */
        code = check_table(p, &p->tables[i], err);
    }
    return code;
}

enum errcode pages_check(const char *path, struct err *err)
{
    CHECK(path != NULL);
    uint8_t meta[META_BYTES];
    bool is_there = false;
    struct pages p = {.path = path};
    p.fd = dir_open(path, O_RDONLY, err);
    if (p.fd < 0) {
        return err->code;
    }
    enum errcode code = read_meta(&p, meta, &is_there, err);
    if (code == ERR_OK && is_there) {
        code = check_pages(&p, meta, err);
    }
    for (size_t i = 0; i < DEPTH_MAX; i++) {
        mem_free(MEM_GENERAL, p.steps[i].page);
    }
    mem_free(MEM_GENERAL, p.seen);
    (void)close(p.fd);
    return code;
}
