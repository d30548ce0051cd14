/* Variables: names and values, a list because there are few. */
#include "client/shell/shell_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct variable *find(const struct variable *list, const char *name)
{
    while (list != NULL && strcmp(list->name, name) != 0) {
        list = list->next;
    }
    return (struct variable *)list;
}

const char *vars_get(const struct variable *list, const char *name)
{
    const struct variable *found = find(list, name);
    return found == NULL ? NULL : found->value;
}

bool vars_name_is_valid(const char *name)
{
    size_t n = 0;
    while (isalnum((unsigned char)name[n]) || name[n] == '_' || (unsigned char)name[n] >= 0x80) {
        n++;
    }
    return n > 0 && n < SHELL_NAME_BYTES && name[n] == '\0';
}

bool vars_set(struct variable **list, const char *name, const char *value)
{
    CHECK(vars_name_is_valid(name));
    char *copy = strdup(value);
    if (copy == NULL) {
        return false;
    }
    struct variable *variable = find(*list, name);
    if (variable == NULL) {
        variable = calloc(1, sizeof(*variable));
        if (variable == NULL) {
            free(copy);
            return false;
        }
        memcpy(variable->name, name, strlen(name) + 1);
        variable->next = *list;
        *list = variable;
    }
    free(variable->value);
    variable->value = copy;
    return true;
}

void vars_unset(struct variable **list, const char *name)
{
    while (*list != NULL && strcmp((*list)->name, name) != 0) {
        list = &(*list)->next;
    }
    struct variable *found = *list;
    if (found != NULL) {
        *list = found->next;
        free(found->value);
        free(found);
    }
}

void vars_free(struct variable **list)
{
    while (*list != NULL) {
        vars_unset(list, (*list)->name);
    }
}

bool text_is_on(const char *text, bool *on)
{
    static const char *const words[2][4] = {{"off", "false", "no", "0"},
                                            {"on", "true", "yes", "1"}};
    for (int truth = 0; truth < 2; truth++) {
        for (size_t i = 0; i < 4; i++) {
            if (strcasecmp(text, words[truth][i]) == 0) {
                *on = truth == 1;
                return true;
            }
        }
    }
    return false;
}
