/* Entries in memory: one at a time, in lists, and the writes that wait for them. */
#include "repl/repl_int.h"

void entry_list_push(struct entry_list *list, struct entry *entry)
{
    CHECK(entry != NULL && (list->first == NULL) == (list->n == 0));
    entry->next = NULL;
    if (list->first == NULL) {
        list->first = entry;
    } else {
        list->last->next = entry;
    }
    list->last = entry;
    list->n += 1;
    list->bytes += entry->bytes;
}

struct entry *entry_list_pop(struct entry_list *list)
{
    struct entry *entry = list->first;
    if (entry != NULL) {
        list->first = entry->next;
        list->n -= 1;
        CHECK(list->bytes >= entry->bytes);
        list->bytes -= entry->bytes;
        entry->next = NULL;
        CHECK((list->first == NULL) == (list->n == 0));
    }
    return entry;
}

struct entry *entry_list_take(struct entry_list *list, const struct repl_write *write)
{
    CHECK(write != NULL);
    struct entry_list left = {NULL, NULL, 0, 0};
    struct entry *taken = NULL, *entry;
    while (taken == NULL && (entry = entry_list_pop(list)) != NULL) {
        if (entry->write == write) {
            taken = entry;
        } else {
            entry_list_push(&left, entry);
        }
    }
    entry_list_join(&left, list);
    *list = left;
    return taken;
}

void entry_list_join(struct entry_list *to, struct entry_list *from)
{
    CHECK(to != from);
    if (from->first == NULL) {
        return;
    }
    if (to->first == NULL) {
        *to = *from;
    } else {
        to->last->next = from->first;
        to->last = from->last;
        to->n += from->n;
        to->bytes += from->bytes;
    }
    *from = (struct entry_list){NULL, NULL, 0, 0};
}

void entry_list_part(struct entry_list *list, bool is_shrinking, struct entry_list *out)
{
    CHECK(list != out && out->first == NULL);
    struct entry_list left = {NULL, NULL, 0, 0};
    struct entry *entry;
    while ((entry = entry_list_pop(list)) != NULL) {
        entry_list_push(entry->is_shrinking == is_shrinking ? out : &left, entry);
    }
    *list = left;
}

struct entry *entry_new(struct repl_write *write, uint8_t *data, size_t bytes)
{
    CHECK(data != NULL);
    struct entry *entry = mem_zalloc(MEM_LOG, sizeof(*entry));
    if (entry != NULL) {
        entry->write = write;
        entry->data = data;
        entry->bytes = bytes;
    }
    return entry;
}

void entry_free(struct entry *entry)
{
    CHECK(entry->next == NULL); /* It is in no list. */
    ;
    mem_free(MEM_LOG, entry->data);
    mem_free(MEM_LOG, entry);
}

void write_tell(struct repl_write *write, uint64_t index, const struct err *err)
{
    CHECK(!write->is_done);
    write->is_done = true;
    write->done(write, index, err);
}

void entry_tell(struct entry *entry, const struct err *err)
{
    struct repl_write *write = entry->write;
    entry->write = NULL; /* done may free it. */
    if (write != NULL) {
        write_tell(write, entry->index, err);
    }
}
