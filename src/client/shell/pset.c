/* \pset: how results look, from one table; \a, \x, \t and the options of the command line set the
 * same. */
#include "client/shell/shell_int.h"

#include <string.h>
#include <strings.h>

enum {
    SHOWN_BYTES = 80
};

struct look {
    const char *name, *values, *title;
    /* @value NULL: the other one of two, or as it is.  False where it is none. */
    bool (*set)(struct settings *set, const char *value);
    void (*show)(const struct settings *set, char out[SHOWN_BYTES]);
};

/* ---- words ---- */

static bool set_flag(bool *flag, const char *value)
{
    bool on = !*flag;
    if (value != NULL && !text_is_on(value, &on)) {
        return false;
    }
    *flag = on;
    return true;
}

static void show_flag(bool flag, char out[SHOWN_BYTES])
{
    snprintf(out, SHOWN_BYTES, "%s", flag ? "on" : "off");
}

static bool set_text(char *text, size_t bytes, const char *value)
{
    return value == NULL || snprintf(text, bytes, "%s", value) < (int)bytes;
}

/* ---- each ---- */

static bool set_format(struct settings *set, const char *value)
{
    static const char *const names[] = {"aligned", "unaligned", "csv"};
    for (size_t i = 0; value != NULL && i < COUNT_OF(names); i++) {
        if (strcasecmp(value, names[i]) == 0) {
            set->format = (enum print_format)i;
            return true;
        }
    }
    return value == NULL;
}

static void show_format(const struct settings *set, char out[SHOWN_BYTES])
{
    snprintf(out, SHOWN_BYTES, "%s",
             set->format == FORMAT_ALIGNED     ? "aligned"
             : set->format == FORMAT_UNALIGNED ? "unaligned"
                                               : "csv");
}

static bool set_expanded(struct settings *set, const char *value)
{
    bool on = set->expanded == EXPANDED_ON;
    if (value != NULL && strcasecmp(value, "auto") == 0) {
        set->expanded = EXPANDED_AUTO;
        return true;
    }
    if (!set_flag(&on, value)) {
        return false;
    }
    set->expanded = on ? EXPANDED_ON : EXPANDED_OFF;
    return true;
}

static void show_expanded(const struct settings *set, char out[SHOWN_BYTES])
{
    snprintf(out, SHOWN_BYTES, "%s",
             set->expanded == EXPANDED_AUTO ? "used automatically"
             : set->expanded == EXPANDED_ON ? "on"
                                            : "off");
}

static bool set_tuples_only(struct settings *set, const char *value)
{
    return set_flag(&set->tuples_only, value);
}

static void show_tuples_only(const struct settings *set, char out[SHOWN_BYTES])
{
    show_flag(set->tuples_only, out);
}

static bool set_separator(struct settings *set, const char *value)
{
    return set_text(set->separator, sizeof(set->separator), value);
}

static void show_separator(const struct settings *set, char out[SHOWN_BYTES])
{
    snprintf(out, SHOWN_BYTES, "\"%s\"", set->separator);
}

static bool set_null(struct settings *set, const char *value)
{
    return set_text(set->null, sizeof(set->null), value);
}

static void show_null(const struct settings *set, char out[SHOWN_BYTES])
{
    snprintf(out, SHOWN_BYTES, "\"%s\"", set->null);
}

static bool set_pager(struct settings *set, const char *value)
{
    bool on = set->pager == PAGER_OFF;
    if (value != NULL && strcasecmp(value, "always") == 0) {
        set->pager = PAGER_ALWAYS;
        return true;
    }
    if (!set_flag(&on, value)) {
        return false;
    }
    set->pager = on ? PAGER_ON : PAGER_OFF;
    return true;
}

static void show_pager(const struct settings *set, char out[SHOWN_BYTES])
{
    snprintf(out, SHOWN_BYTES, "%s",
             set->pager == PAGER_ON    ? "used for what a screen cannot hold"
             : set->pager == PAGER_OFF ? "off"
                                       : "always used");
}

/* ---- all of them ---- */

static const struct look looks[] = {
    {"expanded", "on, off or auto", "Expanded display is", set_expanded, show_expanded},
    {"fieldsep", "a text of at most 15 bytes", "Field separator is", set_separator, show_separator},
    {"format", "aligned, unaligned or csv", "Output format is", set_format, show_format},
    {"null", "a text of at most 31 bytes", "Null display is", set_null, show_null},
    {"pager", "on, off or always", "Pager is", set_pager, show_pager},
    {"tuples_only", "on or off", "Tuples only is", set_tuples_only, show_tuples_only},
};

static void tell(struct shell *shell, const struct look *look)
{
    char value[SHOWN_BYTES];
    look->show(&shell->set, value);
    fprintf(shell->out, "%s %s.\n", look->title, value);
}

bool pset_set(struct shell *shell, const char *name, const char *value)
{
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        if (strcmp(name, looks[i].name) != 0) {
            continue;
        }
        if (!looks[i].set(&shell->set, value)) {
            return shell_complain(shell, "\"%.64s\" is no value of %s: it is %s", value, name,
                                  looks[i].values);
        }
        return true;
    }
    return shell_complain(shell, "there is no setting \"%.64s\"; \\pset lists them", name);
}

void pset_tell(struct shell *shell, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        if (name == NULL || strcmp(name, looks[i].name) == 0) {
            tell(shell, &looks[i]);
        }
    }
}

const char *pset_name(size_t i)
{
    return i < COUNT_OF(looks) ? looks[i].name : NULL;
}
