/* Neighbour lists as building sees them (lists.c), and the tree that makes all rows reachable
 * (parents.c).
 *
 * A list has three parts, in this order: edges of the tree (layer 0 only; a row's edge to its
 * parent stands first, those to its children follow), edges that algorithm 4 chose, and edges that
 * only fill it.  node.kept and node.chosen, or upper.chosen, say where a part ends. */
#ifndef VECTRON_INDEX_LIST_INT_H
#define VECTRON_INDEX_LIST_INT_H

#include "index/candidate_int.h"

/* A copy of a list, to be changed and written back. */
struct list {
    uint32_t links[LINKS_MAX];
    size_t n;
    size_t kept;   /* The first ones, edges of the tree. */
    size_t chosen; /* With kept. */
    bool has_parent;
};

void list_read(const struct slots *slots, uint32_t slot, unsigned layer, struct list *out);
/* Searches may be reading it. */
void list_write(const struct slots *slots, uint32_t slot, unsigned layer, const struct list *list);
/* The place of a slot; list->n where it is not listed. */
size_t list_find(const struct list *list, uint32_t slot);
void list_remove(struct list *list, size_t at);
/* Into its part; the list has room. */
void list_add_filling(struct list *list, uint32_t slot);
void list_add_chosen(struct list *list, uint32_t slot);
void list_add_child(struct list *list, uint32_t slot);
void list_add_parent(struct list *list, uint32_t slot);
/* A chosen edge, of no tree, only fills from now on. */
void list_demote(struct list *list, size_t at);

/* ---- the tree ---- */

/* Each row but the first of the graph has a parent that is an earlier row: each lists the other,
 * and neither edge is ever pruned.  So paths lead from any row to any other. */

uint32_t parent_of(const struct index *index, uint32_t slot); /* SLOT_NONE: it has none. */
/* Up to LINKS_MAX; returns how many. */
size_t children_of(const struct index *index, uint32_t slot, uint32_t *out);
/* Gives the row @child, which has no parent, the nearest of @near that is an earlier row and has
 * room; where none has, one near the first earlier row of them, or near the root.  False where the
 * child is the first row of all. */
bool parent_adopt(struct index *index, uint32_t child, const struct candidate *near, size_t n);

#endif
