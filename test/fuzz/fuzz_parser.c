/* Any text: parse() gives a tree or an error within the text; a tree prints to text that parses to
 * the same tree. */
#include "fuzz.h"

#include <string.h>

#include "parser/parser.h"
#include "test/unit/parser/same_tree.h"

enum {
    ARENA_BYTES = 64 << 20
};

static void check_round_trip(const struct stmt *stmt, struct arena *arena)
{
    struct buf text;
    buf_init(&text, MEM_STATEMENT, ARENA_BYTES);
    print_stmt(&text, stmt);
    CHECK(!text.failed);
    struct err err = {0};
    struct stmt *again = NULL;
    size_t rest = 0;
    CHECK(parse((const char *)text.data, text.bytes, arena, &again, &rest, &err) == ERR_OK);
    CHECK(again != NULL && rest == text.bytes && same_stmt(stmt, again));
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct arena *arena = arena_new(MEM_STATEMENT, ARENA_BYTES);
    CHECK(arena != NULL);
    for (size_t at = 0; at < bytes;) {
        struct err err = {0};
        struct stmt *stmt = NULL;
        size_t rest = 0;
        enum errcode code = parse((const char *)data + at, bytes - at, arena, &stmt, &rest, &err);
        if (code != ERR_OK) {
            CHECK(stmt == NULL && err.code == code && err.message[0] != '\0');
            CHECK(err.position >= 1 && err.position <= bytes - at + 1);
            CHECK(utf8_is_valid(err.message, strlen(err.message)) || code == ERR_BAD_ENCODING);
            break;
        }
        CHECK(rest > 0 && rest <= bytes - at);
        CHECK(stmt != NULL || rest == bytes - at);
        if (stmt != NULL) {
            check_round_trip(stmt, arena);
        }
        at += rest;
        arena_reset(arena);
    }
    arena_free(arena);
    return 0;
}
