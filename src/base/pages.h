/* Whether the pages of an LMDB file hang together. */
#ifndef VECTRON_BASE_PAGES_H
#define VECTRON_BASE_PAGES_H

#include "base/err.h"

/* Looks at the file before LMDB does, which trusts what it maps: a page that is cut off, is another
 * one or makes no sense would end the process or hide rows.  What is no LMDB file at all is left to
 * LMDB, which says so.  Of a file of more than 65,536 pages the leaves are not read.  Nobody may
 * write to the file meanwhile.  Errors: CORRUPT, IO, NO_MEMORY. */
enum errcode pages_check(const char *path, struct err *err) WARN_UNUSED;

#endif
