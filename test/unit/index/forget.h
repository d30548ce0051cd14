/* What tests of other rooms take from an index. */
#ifndef VECTRON_TEST_INDEX_FORGET_H
#define VECTRON_TEST_INDEX_FORGET_H

struct index;

/* DOT: walks begin at no long rows any more, and may miss those that nobody is a neighbour of. */
void forget_longest(struct index *index);

#endif
