/* For tests of parser: whether two trees say the same, positions apart. */
#ifndef VECTRON_TEST_SAME_TREE_H
#define VECTRON_TEST_SAME_TREE_H

#include "parser/parser.h"

bool same_expr(const struct expr *a, const struct expr *b);
bool same_stmt(const struct stmt *a, const struct stmt *b);

#endif
