/* Building: which neighbours rows have (select.c, lists.c, parents.c, link.c, unlink.c, edges.c).
 */
#ifndef VECTRON_INDEX_BUILD_INT_H
#define VECTRON_INDEX_BUILD_INT_H

#include "index/list_int.h"
#include "index/walk_int.h"

/* By the crew, or by this thread where there is none. */
void crew_run(const struct index_crew *crew, size_t n, void (*run)(void *arg, size_t i), void *arg);

/* Of n candidates, nearest first, the list that a new row begins with: those that algorithm 4
 * chooses, then the nearest of the others, but no copies of one that was chosen. */
void select_neighbours(const struct index *index, const struct candidate *sorted, size_t n,
                       size_t max, struct list *out);
/* Offers @slot a place in the list of @base, which it does not stand in.  A full list may exchange
 * one edge: the farthest that only fills it, never one that the rule chose, unless the new one
 * hides it.  Returns who lost a place: SLOT_NONE for nobody, @slot itself where it got none. */
uint32_t list_offer(const struct index *index, struct list *list, size_t max, uint32_t base,
                    uint32_t slot);
/* True where @c is nearer to the base than to each of @chosen. */
bool select_accepts(const struct index *index, struct candidate c, const uint32_t *chosen,
                    size_t n_chosen);
/* A set of slots as the base sees it: nearest first. */
void candidates_around(const struct index *index, uint32_t base, const uint32_t *slots, size_t n,
                       struct candidate *out);

/* ---- in-edges (edges.c): the advancing thread takes note of lists that are written ---- */

/* Room for n more cells, so that nothing below can fail; edges_trim gives back what was not used.
 */
bool edges_reserve(struct slots *slots, size_t n_more) WARN_UNUSED;
void edges_trim(struct slots *slots);
bool lists(const struct slots *slots, uint32_t from, unsigned layer, uint32_t slot);
/* An edge that was not counted: both rows' lists say all that they ever will. */
void edge_counted(struct slots *slots, unsigned layer, uint32_t from, uint32_t to);
/* All of the slots below edges_due; false where there is no memory, and the next call goes on. */
bool edges_count_due(struct index *index) WARN_UNUSED;
/* Those in either direction, of rows that had none before. */
void edges_between(struct slots *slots, unsigned layer, uint32_t a, uint32_t b);
/* Of any two rows; up to one cell more is taken for each. */
void edge_added(struct slots *slots, unsigned layer, uint32_t from, uint32_t to);
void edge_dropped(struct slots *slots, unsigned layer, uint32_t from, uint32_t to);
/* All who list the row, in no order: as many as its in_edges count. */
size_t in_neighbours(const struct slots *slots, uint32_t slot, unsigned layer, uint32_t *out);
/* All edges that begin or end at the row count no more; its list, and those with it, still stand.
 */
void edges_forget(struct slots *slots, uint32_t slot, unsigned layer);
/* Gives the edge a place, at the cost of one that can be spared where the list is full.  False
 * where it has none to spare. */
bool edge_force(struct index *index, unsigned layer, uint32_t from, uint32_t to);

/* ---- DOT's reduction (reduction.c): the lengths of the rows in the graph ---- */

bool reduction_init(struct index *index) WARN_UNUSED;
void reduction_fini(struct index *index);
/* A row of the graph, while its exact vector can be read; then reduction_settle, at a place of the
 * log that all replicas share. */
void reduction_join(struct index *index, uint32_t slot);
void reduction_leave(struct index *index, uint32_t slot);
void reduction_settle(struct index *index);

/* Links the rows of one chunk.  On failure nothing has changed. */
enum errcode link_chunk(struct index *index, const uint32_t *slots, size_t n,
                        const struct index_crew *crew, struct err *err) WARN_UNUSED;
/* Takes a row out of all lists; the caller then retires the slot.  On failure nothing has changed.
 */
enum errcode unlink_row(struct index *index, uint32_t slot, const struct index_crew *crew,
                        struct err *err) WARN_UNUSED;

#endif
