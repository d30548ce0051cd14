/* A scan of columns that are kept in memory, 64 rows at once. */
#ifndef VECTRON_QUERY_SCAN_BLOCKS_INT_H
#define VECTRON_QUERY_SCAN_BLOCKS_INT_H

#include "base/base.h"

struct portal;

struct scan_blocks;
/* In the portal's arena; NULL: no memory.  What the scan reads of a row, the plan's access.reads,
 * has no VECTOR in it. */
struct scan_blocks *scan_blocks_new(struct portal *portal);
/* The next row that matches, whole in portal->columns. */
enum errcode scan_blocks_next(struct scan_blocks *scan, bool *found, struct err *err) WARN_UNUSED;
void scan_blocks_back(struct scan_blocks *scan);   /* The row at hand comes again. */
void scan_blocks_rewind(struct scan_blocks *scan); /* All come again. */
void scan_blocks_pause(struct scan_blocks *scan);  /* Closes its view; it goes on in another. */
uint64_t scan_blocks_looked_at(const struct scan_blocks *scan);

#endif
