/* What tests of other rooms take from an index. */
#ifndef VECTRON_TEST_INDEX_FORGET_H
#define VECTRON_TEST_INDEX_FORGET_H

struct index;

/* Walks begin at the entry point alone, and may miss rows that few paths lead to. */
void forget_starts(struct index *index);

#endif
