/* Within pd: map.c (versions), command.c (what changes them), snapshot.c (the file), pd.c. */
#ifndef VECTRON_PD_INT_H
#define VECTRON_PD_INT_H

#include <stdatomic.h>

#include "pd/pd.h"

/* ---- map.c ---- */

/* Shared by all versions that have it. */
struct held_collection {
    struct map_collection collection;
    atomic_size_t n_holders;
};

/* A version and what only the next one needs. */
struct version {
    struct map map;
    atomic_size_t n_holders;
    uint64_t next_collection; /* Ids are given in the order of the log and never used again. */
    uint64_t next_group;
    const struct map_collection *held[]; /* map.collections; each in a held_collection. */
};

struct version *version_empty(void); /* NULL without memory; so all that makes one. */
void version_release(struct version *version);
/* The next version: with a copy of @schema, which gets the next id, or without collection @at. */
struct version *version_with(const struct version *from, struct schema *schema);
struct version *version_without(const struct version *from, size_t at);
/* For a map read from a file: room for @n collections, which are then added in order. */
struct version *version_new(uint64_t epoch, size_t n);
bool version_add(struct version *version, const struct schema *schema, uint64_t group);
/* The collection's place, or where it would stand. */
size_t map_place(const struct map *map, const char *name, bool *found);

/* ---- command.c ---- */

/* Appends the log's form of @command. */
void command_encode(struct buf *b, const struct pd_command *command);
/* What the log's form does to the map: the new version in *next, or NULL where nothing changes, or
 * the error that is its result.  Depends on nothing but its arguments.  *is_known = false: the
 * command is none that this server knows.  OUT_OF_MEMORY is no result: it must be run again. */
enum errcode command_run(const uint8_t *data, size_t bytes, const struct version *version,
                         struct version **next, bool *is_known, struct err *err) WARN_UNUSED;

/* ---- snapshot.c ---- */

/* Synced and in place when it returns. */
enum errcode snapshot_write(const char *directory, const struct version *version, uint64_t applied,
                            struct err *err) WARN_UNUSED;
/* An empty map and applied = 0 where there is no file. */
enum errcode snapshot_read(const char *directory, struct version **version, uint64_t *applied,
                           struct err *err) WARN_UNUSED;

#endif
