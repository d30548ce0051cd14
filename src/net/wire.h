/* The wire protocol between clients and servers: frames, messages, and their codecs.
 *
 * Shared by the server and by libvclient; needs no event loop.  A frame is u8 type, u32 payload
 * bytes (little-endian, not counting these five), payload.  The messages and their fields are
 * declared in messages.def, from which come the enums, the names and the table in doc/protocol.md.
 *
 *   client                                server
 *   STARTUP                           ->
 *                                     <-  AUTH(ok) PARAMETER_STATUS* SESSION_KEY READY
 *   QUERY "a; b"                      ->
 *                                     <-  [ROW_DESCRIPTION ROW*] COMMAND_COMPLETE ... READY
 *   PARSE BIND DESCRIBE EXECUTE SYNC  ->     (any number pipelined before a SYNC)
 *                                     <-  PARSE_COMPLETE BIND_COMPLETE ROW_DESCRIPTION ROW*
 *                                         COMMAND_COMPLETE | PORTAL_SUSPENDED ... READY
 *   After an ERROR the server skips to the next SYNC, then sends READY.
 *   CANCEL is the first and only frame of a connection of its own; it gets no answer. */
#ifndef VECTRON_WIRE_H
#define VECTRON_WIRE_H

#include "base/base.h"

enum {
    WIRE_MAGIC = 0x314c5156, /* "VQL1" as bytes on the wire. */
    WIRE_VERSION_MAJOR = 1,
    WIRE_VERSION_MINOR = 0,
    WIRE_HEADER_BYTES = 5,
    WIRE_PORT = 7432,
    WIRE_STARTUP_BYTES_MAX = 8192, /* The first frame, before anything is known of the client. */
    WIRE_OPTIONS_MAX = 64,
    WIRE_PARAMETERS_MAX = 65535,
    WIRE_FRAME_BYTES_MAX = 1 << 30, /* What a client accepts of a server. */
};

/* What DESCRIBE and CLOSE name. */
enum wire_kind {
    WIRE_KIND_STATEMENT = 'S',
    WIRE_KIND_PORTAL = 'P'
};

/* Types of frames.  Letters are unique over both directions except COPY's, which both use. */
enum wire_type {
#define MESSAGE(name, letter, from, fields, text) WIRE_##name = (letter),
#include "net/messages.def"
#undef MESSAGE
};

enum wire_from {
    FROM_CLIENT = 1,
    FROM_SERVER = 2,
    FROM_BOTH = 3
};

struct wire_row {
    const char *name;
    uint8_t letter;
    enum wire_from from;
    const char *fields, *text;
};
const struct wire_row *wire_rows(size_t *n);
const struct wire_row *wire_find(uint8_t letter); /* NULL where there is none. */

/* Begins a frame in @b; wire_end patches its length.  Between them come buf_* calls. */
size_t wire_begin(struct buf *b, enum wire_type type);
void wire_end(struct buf *b, size_t begun_at);

/* The frame at the front of @data; *need_bytes is the whole frame's, header included, as far as it
 * is known.  WIRE_TOO_LARGE: the payload is over @payload_bytes_max. */
enum wire_status {
    WIRE_FRAME,
    WIRE_NEED_MORE,
    WIRE_TOO_LARGE
};
struct wire_frame {
    uint8_t type;
    const uint8_t *payload; /* Borrowed from the input. */
    uint32_t payload_bytes;
};
enum wire_status wire_parse(const uint8_t *data, size_t bytes, size_t payload_bytes_max,
                            struct wire_frame *out, size_t *need_bytes);

/* Codecs of the structured messages.  Readers return false on bytes that are not the message;
 * strings are borrowed from the payload. */
struct wire_str {
    const char *data;
    uint32_t bytes;
};

struct wire_option {
    struct wire_str name, value;
};
/* Known options: user, application_name, progress (on or off), and any session policy. */
struct wire_startup {
    uint32_t magic;
    uint16_t major, minor;
    uint16_t n_options;
    struct wire_option options[WIRE_OPTIONS_MAX];
};
void wire_write_startup(struct buf *b, const struct wire_startup *m);
/* True also for another major version, of which only magic and version are read. */
bool wire_read_startup(struct reader *r, struct wire_startup *m);
void wire_write_auth(struct buf *b, uint8_t kind);
bool wire_read_auth(struct reader *r, uint8_t *kind);

struct wire_key {
    uint64_t session;
    uint64_t secret;
};
void wire_write_key(struct buf *b, enum wire_type type, const struct wire_key *m); /* CANCEL too */
bool wire_read_key(struct reader *r, enum wire_type type, struct wire_key *m);

struct wire_parse_message {
    struct wire_str name, text;
    uint16_t n_types;
    const uint8_t *types; /* enum value_type each; 0 = to be told from the statement. */
};
void wire_write_parse(struct buf *b, const struct wire_parse_message *m);
bool wire_read_parse(struct reader *r, struct wire_parse_message *m);

/* BIND: portal, statement, u16 n, n values (value_write). */
struct wire_bind {
    struct wire_str portal, statement;
    uint16_t n_values;
};
void wire_write_bind(struct buf *b, struct wire_str portal, struct wire_str statement,
                     const struct value *values, uint16_t n);
bool wire_read_bind(struct reader *r, struct wire_bind *m); /* Then value_read n_values times. */

/* DESCRIBE and CLOSE: u8 'S' statement or 'P' portal, name.  EXECUTE: portal, u32 row limit
 * (0 = all).  QUERY: text.  COPY_FAIL: text. */
void wire_write_named(struct buf *b, enum wire_type type, char kind, struct wire_str name);
bool wire_read_named(struct reader *r, char *kind, struct wire_str *name);
void wire_write_execute(struct buf *b, struct wire_str portal, uint32_t row_limit);
bool wire_read_execute(struct reader *r, struct wire_str *portal, uint32_t *row_limit);
void wire_write_text(struct buf *b, enum wire_type type, const char *text, size_t bytes);
bool wire_read_text(struct reader *r, struct wire_str *text);
void wire_write_empty(struct buf *b, enum wire_type type);

/* PARAMETERS: u16 n, n u8 types. */
void wire_write_parameters(struct buf *b, const uint8_t *types, uint16_t n);
bool wire_read_parameters(struct reader *r, const uint8_t **types, uint16_t *n);

/* ROW_DESCRIPTION: u16 n, then name, u8 type, u32 dimension: of a VECTOR where it is known; else 0.
 */
struct wire_column {
    struct wire_str name;
    uint8_t type; /* enum value_type; NULL where the type is not known before the rows. */
    uint32_t dim;
};
void wire_write_columns(struct buf *b, const struct wire_column *columns, uint16_t n);
/* The same piece by piece: n columns between begin and wire_end. */
size_t wire_begin_columns(struct buf *b, uint16_t n);
void wire_write_column(struct buf *b, const struct wire_column *column);
bool wire_read_column_count(struct reader *r, uint16_t *n);
bool wire_read_column(struct reader *r, struct wire_column *m);
/* ROW: u16 n, n values. */
void wire_write_row(struct buf *b, const struct value *values, uint16_t n);
/* COMMAND_COMPLETE: tag ("INSERT", "SEARCH"), u64 rows. */
void wire_write_complete(struct buf *b, const char *tag, uint64_t rows);
bool wire_read_complete(struct reader *r, struct wire_str *tag, uint64_t *rows);
/* COPY_IN and COPY_OUT: u8 format (enum copy_format's numbers), u16 n, n u8 types.  COPY_DATA of
 * the binary format (3) is rows one after another, each as the payload of ROW: u16 n, n values;
 * of fbin (2): u32 rows, u32 dimension, then rows * dimension raw f32, as the files have it. */
void wire_write_copy(struct buf *b, enum wire_type type, uint8_t format, const uint8_t *types,
                     uint16_t n);
bool wire_read_copy(struct reader *r, uint8_t *format, const uint8_t **types, uint16_t *n);
/* PROGRESS: phase text, u64 done, u64 total (0 = unknown). */
void wire_write_progress(struct buf *b, const char *phase, uint64_t done, uint64_t total);
bool wire_read_progress(struct reader *r, struct wire_str *phase, uint64_t *done, uint64_t *total);
/* PARAMETER_STATUS: name, value. */
void wire_write_status(struct buf *b, const char *name, const char *value);
bool wire_read_status(struct reader *r, struct wire_str *name, struct wire_str *value);

/* ERROR and NOTICE: u8 n fields, each u8 code, text.  Codes: */
enum wire_field {
    FIELD_SEVERITY = 'S',
    FIELD_SQLSTATE = 'C',
    FIELD_MESSAGE = 'M',
    FIELD_DETAIL = 'D',
    FIELD_HINT = 'H',
    FIELD_POSITION = 'P', /* Decimal; byte from 1. */
    FIELD_COLLECTION = 't',
    FIELD_COLUMN = 'c',
    FIELD_POLICY = 'y',
};
void wire_write_error(struct buf *b, enum wire_type type, const char *severity,
                      const struct err *err);
bool wire_read_error(struct reader *r, struct err *out, struct wire_str *severity,
                     struct wire_str *sqlstate);

#endif
