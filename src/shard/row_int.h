/* Rows, keys and commands as bytes (row.c, command.c). */
#ifndef VECTRON_SHARD_ROW_INT_H
#define VECTRON_SHARD_ROW_INT_H

#include "shard/shard.h"

/* Bytes of somebody else's.  data = NULL: there is nothing. */
struct slice {
    const uint8_t *data;
    size_t bytes;
};

enum {
    SHARD_PATH_BYTES = 4096
};

/* ---- row.c: encoded rows and keys ---- */

enum {
    KEY_BYTES_ENCODED_MAX = 1 + KEY_BYTES_MAX,
    ROW_CHECKSUM_BYTES = 4,
};

/* A primary key in a form that memcmp orders as value_compare does. */
struct key {
    uint16_t bytes;
    uint8_t data[KEY_BYTES_ENCODED_MAX];
};

/* A *body* is a row without its checksum: what commands carry. */
void row_encode(struct buf *body, const struct schema *schema, const struct value *values);
/* columns[i] (n_columns of them) is column i's encoded value; data = NULL where it is null. */
enum errcode row_split(const struct schema *schema, struct slice body, struct slice *columns,
                       struct err *err) WARN_UNUSED;
/* @column's value from its encoded bytes, which are there; texts are borrowed from them. */
enum errcode row_decode_value(const struct column *column, struct slice encoded, struct value *out,
                              struct arena *arena, struct err *err) WARN_UNUSED;
void row_join(struct buf *body, const struct schema *schema, const struct slice *columns);

/* A stored row is its checksum, which covers @number too, and its body. */
void row_store(uint8_t *out, uint64_t number, struct slice body);
enum errcode row_check(uint64_t number, struct slice stored, struct slice *body,
                       struct err *err) WARN_UNUSED;

/* @value has the key's type and passed command.c's checks. */
void key_encode(const struct value *value, struct key *out);
/* The same from column 0 of an encoded row. */
enum errcode key_from_column(const struct schema *schema, struct slice column, struct key *out,
                             struct err *err) WARN_UNUSED;
/* False where these bytes cannot be a key of @type. */
bool key_is_valid(enum value_type type, struct slice key);
/* The value of a valid key; a text is borrowed from it. */
void key_decode(struct slice key, struct value *out);
/* A number that orders rows as their keys do: the first eight bytes of the valid key. */
uint64_t key_label(struct slice key);

/* ---- command.c: what a write is made of ---- */

/* Some of its rows take room. */
bool command_grows(const struct shard_command *command);
/* Apply may refuse it, or change another number of rows than it has. */
bool command_can_be_refused(struct shard_command *command);
/* Its bytes, which are the caller's (mem_free MEM_LOG); the command is empty afterwards. */
void *command_take(struct shard_command *command, size_t *bytes);
void command_give_back(struct shard_command *command, void *data, size_t bytes);

struct command_row {
    enum shard_op op;
    uint32_t stamp;       /* REPLACE, DELETE */
    struct slice columns; /* UPSERT: the bits of the columns given. */
    struct slice body;    /* All but DELETE. */
    struct slice key;     /* DELETE; encoded. */
};

struct command_reader {
    const struct schema *schema;
    struct reader reader;
    uint32_t rows_left;
};

enum errcode command_open(struct command_reader *c, const struct schema *schema, struct slice data,
                          struct err *err) WARN_UNUSED;
/* The next of rows_left rows. */
enum errcode command_next(struct command_reader *c, struct command_row *out,
                          struct err *err) WARN_UNUSED;

#endif
