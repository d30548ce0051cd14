/* A shard's file: tables of records, read as of a commit and written a transaction at a time
 * (store.c). */
#ifndef VECTRON_SHARD_STORE_INT_H
#define VECTRON_SHARD_STORE_INT_H

#include "shard/row_int.h"

struct store;
struct store_read;
struct store_write;

enum store_table {
    TABLE_META,
    TABLE_ROWS,    /* row number -> stored row */
    TABLE_KEYS,    /* encoded key -> row number */
    TABLE_DEAD,    /* row number -> stored row that was deleted after an index checkpoint */
    TABLE_CHANGES, /* log index -> encoded change (overlay.c) */
    TABLE_COUNT
};

struct store_meta {
    uint64_t applied;  /* Log index of the last command whose changes are in the file. */
    uint64_t next_row; /* Larger than the number of any row there ever was. */
    uint64_t rows;     /* In TABLE_ROWS. */
    uint64_t covered;  /* Changes up to this log index are gone: the checkpoints hold them. */
};

struct store_config {
    const char *directory;
    uint64_t schema_id;
    uint64_t group;
    struct store_pool *pool; /* Borrowed. */
};

/* Of all stores of a node: bounds how many of their files are open. */
struct store_pool;
struct store_pool *store_pool_new(struct err *err);
void store_pool_free(struct store_pool *pool);

enum errcode store_open(const struct store_config *config, struct store **out,
                        struct err *err) WARN_UNUSED;
void store_close(struct store *store);
/* Both as of the last commit; what is not used is free for later rows. */
uint64_t store_file_bytes(const struct store *store);
uint64_t store_used_bytes(const struct store *store);
/* More than half of the file is free, and it is not small. */
bool store_is_compaction_worth(const struct store *store);
/* Gives the free pages back to the disk.  No write is under way.  OVERLOADED: another time. */
enum errcode store_compact(struct store *store, struct err *err) WARN_UNUSED;
/* Free bytes where the store is; UINT64_MAX where the system does not say. */
uint64_t store_disk_free(const struct store *store);

/* A read transaction that can be used again; one thread at a time. */
struct store_read *store_read_new(struct store *store, struct err *err);
enum errcode store_read_begin(struct store_read *read, struct err *err) WARN_UNUSED;
void store_read_end(struct store_read *read);
void store_read_free(struct store_read *read);
const struct store_meta *store_read_meta(const struct store_read *read);
/* What is found is borrowed until the transaction ends; out->data = NULL where there is none. */
enum errcode store_get(struct store_read *read, enum store_table table, uint64_t number,
                       struct slice *out, struct err *err) WARN_UNUSED;
/* A record of TABLE_META beside the head, by its name. */
enum errcode store_get_record(struct store_read *read, const char *name, struct slice *out,
                              struct err *err) WARN_UNUSED;
enum errcode store_get_key(struct store_read *read, struct slice key, uint64_t *number, bool *found,
                           struct err *err) WARN_UNUSED;
/* The first record at or after *number; cheap where it follows the last one that this gave. */
enum errcode store_next(struct store_read *read, enum store_table table, uint64_t *number,
                        struct slice *out, struct err *err) WARN_UNUSED;

/* One writer at a time.  After a failure of any of these only store_abort is allowed. */
/* @bytes is about what will be put.  OVERLOADED, here or later: views were in the way of a map that
 * has to grow; to be tried again. */
enum errcode store_write_begin(struct store *store, uint64_t bytes, struct store_write **out,
                               struct err *err) WARN_UNUSED;
/* What the file says, before this write. */
enum errcode store_write_meta(struct store_write *write, struct store_meta *out,
                              struct err *err) WARN_UNUSED;
enum errcode store_put(struct store_write *write, enum store_table table, uint64_t number,
                       struct slice value, struct err *err) WARN_UNUSED;
/* Faster than store_put where @number is larger than any in the table, and packs pages full. */
enum errcode store_append(struct store_write *write, enum store_table table, uint64_t number,
                          struct slice value, struct err *err) WARN_UNUSED;
enum errcode store_delete(struct store_write *write, enum store_table table, uint64_t number,
                          struct err *err) WARN_UNUSED;
/* Moves a row from TABLE_ROWS to TABLE_DEAD; tells how long it is. */
enum errcode store_bury(struct store_write *write, uint64_t number, size_t *bytes,
                        struct err *err) WARN_UNUSED;
/* All of TABLE_DEAD goes. */
enum errcode store_forget_dead(struct store_write *write, struct err *err) WARN_UNUSED;
enum errcode store_put_key(struct store_write *write, struct slice key, uint64_t number,
                           struct err *err) WARN_UNUSED;
enum errcode store_put_record(struct store_write *write, const char *name, struct slice value,
                              struct err *err) WARN_UNUSED;
enum errcode store_delete_key(struct store_write *write, struct slice key,
                              struct err *err) WARN_UNUSED;
/* As store_next of TABLE_CHANGES, in the write's own transaction. */
enum errcode store_next_change(struct store_write *write, uint64_t *index, struct slice *out,
                               struct err *err) WARN_UNUSED;
/* Synced when it returns.  Frees @write, whatever happens. */
enum errcode store_commit(struct store_write *write, const struct store_meta *meta,
                          struct err *err) WARN_UNUSED;
void store_abort(struct store_write *write);
/* Gives back what a write that failed has added to the end of the file. */
void store_trim(struct store *store);

#endif
