/* Versions of the map: immutable, counted, sorted by name.
 *
 * A version is an array of pointers to collections, which it shares with the versions before and
 * after it; a collection lives until the last version that has it is released.  The count of a
 * version is raised only by pd_map_acquire, under pd's lock, where the version in force has one
 * holder at least; so it cannot rise from zero, and who lowers it to zero is alone with it. */
#include <string.h>

#include "pd/pd_int.h"

static struct held_collection *held_of(const struct map_collection *c)
{
    return CONTAINER_OF(c, struct held_collection, collection);
}

struct version *version_new(uint64_t epoch, size_t n)
{
    CHECK(n <= COLLECTIONS_MAX);
    struct version *v = mem_zalloc(MEM_CATALOG, sizeof(*v) + n * sizeof(v->held[0]));
    if (v != NULL) {
        v->map.epoch = epoch;
        v->map.collections = v->held;
        atomic_init(&v->n_holders, 1);
    }
    return v;
}

struct version *version_empty(void)
{
    struct version *v = version_new(MAP_EPOCH_FIRST, 0);
    if (v != NULL) {
        v->next_collection = 1;
        v->next_group = PD_GROUP + 1;
    }
    return v;
}

void version_release(struct version *v)
{
    size_t before = v == NULL ? 2 : atomic_fetch_sub(&v->n_holders, 1);
    CHECK(before > 0);
    if (before > 1) {
        return;
    }
    for (size_t i = 0; i < v->map.n_collections; i++) {
        struct held_collection *held = held_of(v->held[i]);
        size_t holders = atomic_fetch_sub(&held->n_holders, 1);
        CHECK(holders > 0);
        if (holders == 1) {
            schema_release(held->collection.schema);
            mem_free(MEM_CATALOG, held);
        }
    }
    mem_free(MEM_CATALOG, v);
}

bool version_add(struct version *v, const struct schema *schema, uint64_t group)
{
    CHECK(group > PD_GROUP && v->map.n_collections < COLLECTIONS_MAX);
    struct held_collection *held = mem_alloc(MEM_CATALOG, sizeof(*held));
    if (held == NULL) {
        return false;
    }
    held->collection.schema = schema_hold(schema);
    if (held->collection.schema == NULL) {
        mem_free(MEM_CATALOG, held);
        return false;
    }
    held->collection.shard.group = group;
    atomic_init(&held->n_holders, 1);
    v->held[v->map.n_collections++] = &held->collection;
    return true;
}

static void share(struct version *v, const struct map_collection *c)
{
    CHECK(atomic_load(&held_of(c)->n_holders) > 0);
    atomic_fetch_add(&held_of(c)->n_holders, 1);
    v->held[v->map.n_collections++] = c;
}

struct version *version_with(const struct version *from, struct schema *schema)
{
    const struct map *map = &from->map;
    bool found;
    size_t at = map_place(map, schema->name, &found);
    CHECK(!found);
    struct version *v = version_new(map->epoch + 1, map->n_collections + 1);
    if (v == NULL) {
        return NULL;
    }
    v->next_collection = from->next_collection + 1;
    v->next_group = from->next_group + 1;
    for (size_t i = 0; i < at; i++) {
        share(v, map->collections[i]);
    }
    schema->id = from->next_collection;
    if (!version_add(v, schema, from->next_group)) {
        version_release(v);
        return NULL;
    }
    v->map.added = v->held[at];
    for (size_t i = at; i < map->n_collections; i++) {
        share(v, map->collections[i]);
    }
    CHECK(v->map.n_collections == map->n_collections + 1);
    return v;
}

struct version *version_without(const struct version *from, size_t at)
{
    const struct map *map = &from->map;
    CHECK(at < map->n_collections);
    struct version *v = version_new(map->epoch + 1, map->n_collections);
    if (v == NULL) {
        return NULL;
    }
    v->next_collection = from->next_collection;
    v->next_group = from->next_group;
    v->map.removed = map->collections[at]->schema->id;
    for (size_t i = 0; i < map->n_collections; i++) {
        if (i != at) {
            share(v, map->collections[i]);
        }
    }
    CHECK(v->map.n_collections + 1 == map->n_collections);
    return v;
}

size_t map_place(const struct map *map, const char *name, bool *found)
{
    CHECK(name != NULL);
    size_t low = 0;
    size_t high = map->n_collections;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(map->collections[middle]->schema->name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The nearest of all names, asked for in handfuls: the best so far stands in each. */
static const char *nearest_name(const struct map *map, const char *name)
{
    const char *names[64];
    const char *best = NULL;
    size_t n = 0;
    for (size_t i = 0; i < map->n_collections; i++) {
        names[n++] = map->collections[i]->schema->name;
        if (n == COUNT_OF(names) || i + 1 == map->n_collections) {
            best = err_nearest(name, names, n);
            n = 0;
            if (best != NULL) {
                names[n++] = best;
            }
        }
    }
    return best;
}

const struct map_collection *map_find(const struct map *map, const char *name, const char **nearest)
{
    bool found;
    size_t at = map_place(map, name, &found);
    if (nearest != NULL) {
        *nearest = found ? NULL : nearest_name(map, name);
    }
    return found ? map->collections[at] : NULL;
}
