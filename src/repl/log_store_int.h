/* The log on disk, and the directory that it is in (log_store.c, log_dir.c). */
#ifndef VECTRON_REPL_LOG_STORE_INT_H
#define VECTRON_REPL_LOG_STORE_INT_H

#include <raft.h>

#include "repl/repl.h"

/* ---- the log's directory: log_dir.c ---- */

/* FORMAT_UNSUPPORTED where a directory without a log holds what is not a log's. */
enum errcode log_dir_check_new(const char *directory, struct err *err) WARN_UNUSED;

/* ---- the log on disk: log_store.c, log thread only ---- */

struct log_store;

/* What Raft must find again, beside the entries. */
struct log_state {
    bool is_doomed; /* The group was destroyed; its entries are being removed. */
    uint64_t term, vote;
    uint64_t cut_index, cut_term; /* Entries up to here may be missing: the owner has them. */
    uint64_t conf_index;          /* Where the configuration was committed. */
    const uint8_t *conf;          /* As raft_configuration_encode writes it. */
    size_t conf_bytes;
};

struct log_record {
    uint64_t index, term;
    enum raft_entry_type type;
    const uint8_t *data;
    size_t bytes;
};

enum {
    LOG_CONF_BYTES_MAX = 64 << 10
};

/* Errors: LOCKED, FORMAT_UNSUPPORTED, CORRUPT, BAD_CONFIG (another node's), IO, DISK_FULL. */
enum errcode log_store_open(const struct repl_config *config, struct log_store **out,
                            struct err *err) WARN_UNUSED;
void log_store_close(struct log_store *store);

/* Free space is @bytes and the reserve; for what is_shrinking @bytes and what the log's own commit
 * takes, since it is the way out of a full disk.  Any thread. */
bool log_store_has_room(const struct log_store *store, size_t bytes, bool is_shrinking);
enum errcode log_store_fail_full(const struct log_store *store, bool is_shrinking, struct err *err);
/* From here on so much is to be free behind a write.  Any thread. */
void log_store_reserve(struct log_store *store, size_t bytes);
size_t log_store_file_bytes(const struct log_store *store); /* Any thread. */

/* Writing.  The first write after a commit opens the turn's transaction; after an error only
 * log_store_abort is allowed. */
enum errcode log_store_put(struct log_store *store, uint64_t group, const struct log_record *record,
                           struct err *err) WARN_UNUSED;
enum errcode log_store_put_state(struct log_store *store, uint64_t group,
                                 const struct log_state *state, struct err *err) WARN_UNUSED;
/* Removes the group's first entries, at most @n_max of them and none behind @index_max. */
enum errcode log_store_remove(struct log_store *store, uint64_t group, uint64_t index_max,
                              size_t n_max, size_t *n_removed, struct err *err) WARN_UNUSED;
enum errcode log_store_remove_state(struct log_store *store, uint64_t group,
                                    struct err *err) WARN_UNUSED;
bool log_store_is_writing(const struct log_store *store);
/* Synced when it returns.  After an error what the transaction wrote is not in the log, unless
 * log_store_is_broken. */
enum errcode log_store_commit(struct log_store *store, struct err *err) WARN_UNUSED;
void log_store_abort(struct log_store *store); /* Nothing happens where none is open. */

/* A commit failed at its very last write: what the file holds can only be told by reading it
 * again.  log_store_mend opens it anew and makes what it then shows durable. */
bool log_store_is_broken(const struct log_store *store);
enum errcode log_store_mend(struct log_store *store, struct err *err) WARN_UNUSED;

/* Reads, between log_store_read_begin and log_store_read_end, which bound what is borrowed; no
 * write may be open.  With @is_verified the checksums of entries are compared. */
enum errcode log_store_read_begin(struct log_store *store, bool is_verified,
                                  struct err *err) WARN_UNUSED;
void log_store_read_end(struct log_store *store);
enum errcode log_store_state(struct log_store *store, uint64_t group, struct log_state *out,
                             bool *found, struct err *err) WARN_UNUSED;
/* The first state of a group at or after *group, whose id is put there. */
enum errcode log_store_next_group(struct log_store *store, uint64_t *group, struct log_state *out,
                                  bool *found, struct err *err) WARN_UNUSED;
/* The group's first entry at or after @index, and then the ones behind it. */
enum errcode log_store_seek(struct log_store *store, uint64_t group, uint64_t index,
                            struct log_record *out, bool *found, struct err *err) WARN_UNUSED;
enum errcode log_store_next(struct log_store *store, struct log_record *out, bool *found,
                            struct err *err) WARN_UNUSED;
/* Of one entry, in whichever transaction is open; CORRUPT where it is not there. */
enum errcode log_store_term(struct log_store *store, uint64_t group, uint64_t index, uint64_t *term,
                            struct err *err) WARN_UNUSED;

#endif
