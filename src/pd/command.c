/* The commands that change the map: their form in the log, and what each does.
 *
 * In the log: u8 version, u8 number (pd_commands.def), u8 is_conditional, then for CREATE the
 * schema as schema_write gives it, and for DROP the name (u32 length, bytes).
 *
 * What a command does depends on the map and the command alone, so every node that applies the same
 * log has the same map, with the same ids. */
#include <string.h>

#include "pd/pd_int.h"

enum {
    COMMAND_VERSION = 1
};

/* What a command is run on. */
struct run {
    struct reader *reader;
    bool is_conditional;
    const struct version *version;
    struct version **next;
};

/* ---- create ---- */

static void encode_create(struct buf *b, const struct pd_command *command)
{
    CHECK(command->schema->n_columns > 0);
    schema_write(b, command->schema);
}

static enum errcode run_create(struct run *run, struct err *err)
{
    /* A schema is too large for the stack of a thread that we did not start. */
    struct schema *schema = mem_alloc(MEM_CATALOG, sizeof(*schema));
    if (schema == NULL) {
        return err_no_memory(err);
    }
    bool found;
    enum errcode code = schema_read(run->reader, schema, err);
    if (code != ERR_OK) {
        goto out;
    }
    map_place(&run->version->map, schema->name, &found);
    if (found && !run->is_conditional) {
        code = err_set(err, ERR_DUPLICATE_COLLECTION, "collection \"%s\" exists already",
                       schema->name);
        err_hint(err, "Choose another name, or write IF NOT EXISTS.");
        err_collection(err, schema->name);
    } else if (!found && run->version->map.n_collections == COLLECTIONS_MAX) {
        code = err_set(err, ERR_TOO_MANY_ITEMS,
                       "there are %d collections already, the most there "
                       "can be",
                       COLLECTIONS_MAX);
        err_hint(err, "Drop a collection first.");
    } else if (!found) {
        *run->next = version_with(run->version, schema);
        code = *run->next != NULL ? ERR_OK : err_no_memory(err);
    }
out:
    mem_free(MEM_CATALOG, schema);
    return code;
}

/* ---- drop ---- */

static void encode_drop(struct buf *b, const struct pd_command *command)
{
    buf_str(b, command->collection, strlen(command->collection));
}

static enum errcode read_name(struct run *run, char name[NAME_BYTES_MAX + 1], struct err *err)
{
    uint32_t bytes;
    const char *text = reader_str(run->reader, &bytes);
    if (text == NULL || bytes > NAME_BYTES_MAX) {
        return err_set(err, ERR_CORRUPT, "a command of the map names no collection");
    }
    memcpy(name, text, bytes);
    name[bytes] = '\0';
    return ERR_OK;
}

static enum errcode run_drop(struct run *run, struct err *err)
{
    char name[NAME_BYTES_MAX + 1];
    if (read_name(run, name, err) != ERR_OK) {
        return err->code;
    }
    bool found;
    size_t at = map_place(&run->version->map, name, &found);
    if (found) {
        *run->next = version_without(run->version, at);
        return *run->next != NULL ? ERR_OK : err_no_memory(err);
    }
    if (run->is_conditional) {
        return ERR_OK;
    }
    const char *nearest;
    (void)map_find(&run->version->map, name, &nearest);
    err_set(err, ERR_UNKNOWN_COLLECTION, "there is no collection \"%s\"", name);
    if (nearest != NULL) {
        err_hint(err, "Perhaps you meant \"%s\".", nearest);
    }
    err_collection(err, name);
    return ERR_UNKNOWN_COLLECTION;
}

/* ---- withdraw ---- */

static void encode_withdraw(struct buf *b, const struct pd_command *command)
{
    encode_drop(b, command);
    buf_u64(b, command->id);
}

static enum errcode run_withdraw(struct run *run, struct err *err)
{
    char name[NAME_BYTES_MAX + 1];
    if (read_name(run, name, err) != ERR_OK) {
        return err->code;
    }
    uint64_t id = reader_u64(run->reader);
    bool found;
    const struct map *map = &run->version->map;
    size_t at = map_place(map, name, &found);
    if (!found || map->collections[at]->schema->id != id) {
        return ERR_OK;
    }
    *run->next = version_without(run->version, at);
    return *run->next != NULL ? ERR_OK : err_no_memory(err);
}

/* ---- the table ---- */

static const struct command_row {
    uint8_t number;
    const char *name;
    void (*encode)(struct buf *b, const struct pd_command *command);
    enum errcode (*run)(struct run *run, struct err *err);
} command_rows[] = {
#define PD_COMMAND(name, number, suffix, text)                                                     \
    [PD_##name] = {number, #name, encode_##suffix, run_##suffix},
#include "pd/pd_commands.def"
#undef PD_COMMAND
};

void command_encode(struct buf *b, const struct pd_command *command)
{
    CHECK((size_t)command->op < COUNT_OF(command_rows));
    const struct command_row *row = &command_rows[command->op];
    buf_u8(b, COMMAND_VERSION);
    buf_u8(b, row->number);
    buf_u8(b, command->is_conditional);
    row->encode(b, command);
}

enum errcode command_run(const uint8_t *data, size_t bytes, const struct version *version,
                         struct version **next, bool *is_known, struct err *err)
{
    CHECK(version != NULL);
    struct reader reader;
    reader_init(&reader, data, bytes);
    uint8_t form = reader_u8(&reader);
    uint8_t number = reader_u8(&reader);
    struct run run = {
        .reader = &reader,
        .is_conditional = reader_u8(&reader) != 0,
        .version = version,
        .next = next,
    };
    *next = NULL;
    *is_known = true;
    for (size_t i = 0; form == COMMAND_VERSION && i < COUNT_OF(command_rows); i++) {
        if (command_rows[i].number != number) {
            continue;
        }
        enum errcode code = command_rows[i].run(&run, err);
        if (code == ERR_OUT_OF_MEMORY || reader_done(&reader)) {
            return code;
        }
        version_release(*next);
        *next = NULL;
    }
    *is_known = false;
    err_set(err, ERR_FORMAT_UNSUPPORTED,
            "the log of the map holds a command that this server does not know (form %u, number "
            "%u)",
            form, number);
    err_hint(err, "Run the version of vectrond that wrote it.");
    return ERR_FORMAT_UNSUPPORTED;
}
