/* The modes: what one process can be.  A mode is a row here and a file mode_NAME.c. */
#include <string.h>

#include "server/server_int.h"

static const struct mode *const modes[] = {&mode_standalone};

const struct mode *mode_find(const char *name, struct err *err)
{
    const char *names[COUNT_OF(modes)];
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        names[i] = modes[i]->name;
        if (strcmp(names[i], name) == 0) {
            return modes[i];
        }
    }
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1024);
    mode_names(&b);
    err_set(err, ERR_BAD_CONFIG, "unknown mode \"%s\"", name);
    if (!b.failed) {
        err_hint(err, "--mode is one of: %.*s.", (int)b.bytes, (const char *)b.data);
    }
    buf_fini(&b);
    return NULL;
}

void mode_names(struct buf *b)
{
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        buf_printf(b, "%s%s (%s)", i == 0 ? "" : ", ", modes[i]->name, modes[i]->text);
    }
}
