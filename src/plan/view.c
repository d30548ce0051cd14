/* The views: their names, and the columns that their rows have. */
#include "plan/plan.h"

#include <string.h>

#define COLUMN(column_name, column_type) {column_name, TYPE_##column_type, 0},
#define VIEW(name, text, cells)          static const struct result_column of_##name[] = {cells};
#include "plan/views.def"
#undef VIEW
#undef COLUMN

static const struct view views[] = {
#define VIEW(view_name, view_text, view_columns)                                                   \
    {.id = VIEW_##view_name,                                                                       \
     .name = #view_name,                                                                           \
     .text = (view_text),                                                                          \
     .columns = of_##view_name,                                                                    \
     .n_columns = COUNT_OF(of_##view_name)},
#include "plan/views.def"
#undef VIEW
};

size_t view_count(void)
{
    return COUNT_OF(views);
}

const struct view *view_at(size_t i)
{
    CHECK(i < COUNT_OF(views));
    return &views[i];
}

const struct view *view_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(views); i++) {
        if (strcmp(views[i].name, name) == 0) {
            return &views[i];
        }
    }
    return NULL;
}
