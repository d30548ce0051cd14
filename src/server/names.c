/* Named statements and portals of one session: few, so an array that is searched by hash. */
#include <string.h>

#include "server/server_int.h"

enum {
    NAMES_FIRST = 4
};

void names_init(struct names *names, const char *what, size_t n_max)
{
    CHECK(n_max > 0);
    *names = (struct names){.what = what, .n_max = n_max};
}

void names_fini(struct names *names)
{
    CHECK(names->n == 0);
    mem_free(MEM_SESSION, names->items);
    names->items = NULL;
    names->capacity = 0;
}

struct named *names_find(const struct names *names, struct wire_str name)
{
    uint64_t hash = hash_bytes(name.data, name.bytes, 0);
    for (size_t i = 0; i < names->n; i++) {
        struct named *named = &names->items[i];
        if (named->hash == hash && named->name_bytes == name.bytes &&
            memcmp(named->name, name.data, name.bytes) == 0) {
            return named;
        }
    }
    return NULL;
}

static bool grow(struct names *names)
{
    size_t capacity = names->capacity == 0 ? NAMES_FIRST : names->capacity * 2;
    struct named *items = mem_realloc(MEM_SESSION, names->items, capacity * sizeof *items);
    if (items == NULL) {
        return false;
    }
    names->items = items;
    names->capacity = capacity;
    return true;
}

enum errcode names_add(struct names *names, struct wire_str name, void *thing, struct err *err)
{
    if (name.bytes > NAME_BYTES_MAX) {
        return err_set(err, ERR_NAME_TOO_LONG, "the name of a %s is longer than %d bytes",
                       names->what, NAME_BYTES_MAX);
    }
    if (names->n == names->n_max) {
        err_set(err, ERR_TOO_MANY_ITEMS, "the session has %zu %ss already", names->n, names->what);
        err_hint(err, "Close those that are not needed any more.");
        return ERR_TOO_MANY_ITEMS;
    }
    if (names->n == names->capacity && !grow(names)) {
        return err_no_memory(err);
    }
    struct named *named = &names->items[names->n++];
    *named = (struct named){.hash = hash_bytes(name.data, name.bytes, 0),
                            .name_bytes = (uint8_t)name.bytes,
                            .thing = thing};
    memcpy(named->name, name.data, name.bytes);
    return ERR_OK;
}

void names_remove(struct names *names, struct named *named)
{
    size_t i = (size_t)(named - names->items);
    CHECK(i < names->n);
    names->items[i] = names->items[--names->n];
}

bool name_is_clean(struct wire_str name)
{
    unsigned char all = 0;
    for (uint32_t i = 0; i < name.bytes; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c < ' ' || c == 0x7f) {
            return false;
        }
        all |= c;
    }
    return all < 0x80 || utf8_is_valid(name.data, name.bytes);
}

void names_forget(struct names *names, const void *thing)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->items[i].thing == thing) {
            names_remove(names, &names->items[i]);
            return;
        }
    }
}
