/* Neighbour lists: their three parts (list_int.h), kept in order as edges come and go. */
#include "index/list_int.h"

enum {
    KEPT_MAX = 0x7f /* Half of a list, and a parent, are less. */
};

void list_read(const struct slots *slots, uint32_t slot, unsigned layer, struct list *out)
{
    const struct node *node = node_at(slots, slot);
    bool is_base = layer == 0;
    out->n = links_copy(slots, slot, layer, out->links);
    out->kept = is_base ? node->kept : 0;
    out->chosen = is_base ? node->chosen : upper_of(slots, slot, layer)->chosen;
    out->has_parent = is_base && node->has_parent;
    CHECK(out->has_parent <= out->kept && out->kept <= out->chosen && out->chosen <= out->n);
}

void list_write(const struct slots *slots, uint32_t slot, unsigned layer, const struct list *list)
{
    CHECK(list->kept <= list->chosen && list->chosen <= list->n);
    _Atomic uint32_t *links = links_at(slots, slot, layer);
    size_t max = links_max(slots, layer);
    CHECK(list->n <= max);
    for (size_t i = 0; i < max; i++) {
        uint32_t link = i < list->n ? list->links[i] : SLOT_NONE;
        atomic_store_explicit(&links[i], link, memory_order_release);
    }
    if (layer > 0) {
        upper_of(slots, slot, layer)->chosen = (uint8_t)list->chosen;
        return;
    }
    struct node *node = node_at(slots, slot);
    node->kept = list->kept & KEPT_MAX;
    node->chosen = (uint8_t)list->chosen;
    node->has_parent = list->has_parent;
}

size_t list_find(const struct list *list, uint32_t slot)
{
    size_t at = 0;
    while (at < list->n && list->links[at] != slot) {
        at++;
    }
    return at;
}

/* The last one of each part behind the hole moves into it. */
void list_remove(struct list *list, size_t at)
{
    CHECK(at < list->n);
    if (at == 0 && list->has_parent) {
        list->has_parent = false;
    }
    if (at < list->kept) {
        list->kept--;
        list->links[at] = list->links[list->kept];
        at = list->kept;
    }
    if (at < list->chosen) {
        list->chosen--;
        list->links[at] = list->links[list->chosen];
        at = list->chosen;
    }
    list->n--;
    list->links[at] = list->links[list->n];
}

/* The first one of each part moves behind its end to make room. */
void list_add_filling(struct list *list, uint32_t slot)
{
    CHECK(list->n < LINKS_MAX);
    list->links[list->n++] = slot;
}

void list_add_chosen(struct list *list, uint32_t slot)
{
    CHECK(list->n < LINKS_MAX);
    list->links[list->n++] = list->links[list->chosen];
    list->links[list->chosen++] = slot;
}

void list_add_child(struct list *list, uint32_t slot)
{
    list_add_chosen(list, list->links[list->kept]);
    list->links[list->kept++] = slot;
}

void list_add_parent(struct list *list, uint32_t slot)
{
    CHECK(!list->has_parent);
    list_add_child(list, list->links[0]);
    list->links[0] = slot;
    list->has_parent = true;
}

void list_demote(struct list *list, size_t at)
{
    CHECK(at >= list->kept && at < list->chosen);
    list->chosen--;
    uint32_t slot = list->links[at];
    list->links[at] = list->links[list->chosen];
    list->links[list->chosen] = slot;
}
