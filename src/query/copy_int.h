/* What the files of COPY share: copy_file.c, copy_in.c, copy_out.c, operator_load.c. */
#ifndef VECTRON_QUERY_COPY_INT_H
#define VECTRON_QUERY_COPY_INT_H

#include <limits.h>

#include "query/query.h"

struct operator_run;
struct row_decoder;

enum {
    COPY_CHUNK_BYTES = 256 << 10, /* Read from or written to a file at once. */
    DECODED_BYTE_WORK = 4,
};

/* ---- copy_in.c: what load asks of a decode ---- */

/* That it has no row now, and its client may send more. */
bool decode_is_short(struct operator_run *o);
const struct row_decoder *decode_source(struct operator_run *o);

/* ---- copy_file.c ---- */

/* Files of the server's, below the policy copy_directory: copy_file.c.  @file is as the statement
 * names it. */
enum {
    COPY_NAME_BYTES = NAME_MAX + 2 /* Room for one that is too long. */
};
/* Opens a regular file to be read; *bytes is its size. */
enum errcode copy_file_open(struct portal *portal, const char *file, int *fd, uint64_t *bytes,
                            struct err *err) WARN_UNUSED;
/* A file that is written, and is in its place once it is kept. */
struct copy_target {
    int fd, folder; /* -1: none. */
    char name[COPY_NAME_BYTES];
    char temporary[64]; /* Its name until then; afterwards "". */
};
enum errcode copy_file_create(struct portal *portal, const char *file, struct copy_target *out,
                              struct err *err) WARN_UNUSED;
enum errcode copy_file_keep(struct copy_target *target, const char *file,
                            struct err *err) WARN_UNUSED;
void copy_file_close(struct copy_target *target); /* Removes what was not kept. */

#endif
