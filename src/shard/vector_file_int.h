/* The file of an index's exact vectors (vector_file.c). */
#ifndef VECTRON_SHARD_VECTOR_FILE_INT_H
#define VECTRON_SHARD_VECTOR_FILE_INT_H

#include <stdatomic.h>

#include "index/index.h"

struct vector_file_config {
    const char *directory; /* Borrowed. */
    uint64_t schema_id, group;
    uint32_t column, dim;
    uint32_t number;  /* Of the file: of those of a column, one at most is named by a checkpoint. */
    uint64_t reserve; /* Bytes of the disk that room for later vectors leaves free. */
    bool is_mapped;   /* The index reads its vectors in the file; else it keeps them in memory. */
};

enum {
    VECTOR_PATH_BYTES = 4096
};

struct vector_file {
    struct vector_file_config config;
    char path[VECTOR_PATH_BYTES];
    struct index_storage storage; /* For the index; of the file. */
    struct mutex growing;         /* Of what follows. */
    int fd;                       /* -1: there is no file yet. */
    _Atomic uint64_t room_bytes;  /* For vectors; in the file, allocated. */
    uint8_t *map;                 /* Made by who stages. */
    size_t map_bytes;
    /* Pages of the map, from its begin, that are memory: the disk had no room.  None: both 0. */
    uint64_t memory_from, memory_end;
    atomic_bool may_use_memory; /* Where there is no room. */
    atomic_bool is_suspect;     /* A sync failed: nobody knows what is on the disk. */
};

/* The file itself is made when the first vectors come.  The storage's release frees it. */
struct vector_file *vector_file_new(const struct vector_file_config *config, struct err *err);
/* Of an index with such a storage; NULL: it has none. */
struct vector_file *vector_file_of(const struct index *index);
/* The file of that number, if it is there.  Errors: IO, CORRUPT, FORMAT_UNSUPPORTED. */
enum errcode vector_file_open(struct vector_file *f, uint32_t number, struct err *err) WARN_UNUSED;
/* Those of a column whose number is in first .. end - 1. */
void vector_files_remove(const char *directory, uint32_t column, uint32_t first, uint32_t end);
/* Room for vectors of @bytes altogether, so that storing them cannot meet a full disk; a file of
 * few is not made for it.  Any thread.  Errors: DISK_FULL, IO. */
enum errcode vector_file_reserve(struct vector_file *f, uint64_t bytes,
                                 struct err *err) WARN_UNUSED;
/* What is put from here on where the disk has no room is kept in memory until it has.  False: that
 * was said before. */
bool vector_file_use_memory(struct vector_file *f);
/* What was put is on the disk.  Errors: DISK_FULL: some is still in memory. */
enum errcode vector_file_sync(struct vector_file *f, struct err *err) WARN_UNUSED;
uint64_t vector_file_bytes(const struct vector_file *f);

#endif
