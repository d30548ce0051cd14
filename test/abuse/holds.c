/* Statements that are long because of what they say: how long past its deadline each ends, and how
 * long the worst of them kept a network loop.  The figures are printed; the bounds are for a
 * machine that has other things to do. */
#include "abuse.h"

enum {
    DEADLINE_MS = 300,
    OVER_MS_MAX = 1000,
    HOLD_MS_MAX = 250,
    TEXT_BYTES = 900 << 10,
};

static void repeat(struct buf *b, const char *piece, size_t bytes)
{
    for (size_t end = b->bytes + bytes; b->bytes < end;) {
        buf_bytes(b, piece, strlen(piece));
    }
}

static void like_of_many_pieces(struct buf *b)
{
    buf_printf(b, "SELECT '");
    repeat(b, "a", TEXT_BYTES / 2);
    buf_printf(b, "' LIKE '%%");
    repeat(b, "a%a_", 8192);
    buf_printf(b, "b' FROM t");
}

static void many_conditions(struct buf *b)
{
    buf_printf(b, "SELECT id FROM t WHERE v IS NULL");
    for (int i = 0; i < 1500; i++) {
        buf_printf(b, " OR id + %d = id * %d", i + 7, i + 3);
    }
}

static void a_large_set(struct buf *b)
{
    buf_printf(b, "SELECT id FROM t WHERE id + 1 IN (0");
    for (int i = 0; i < 60000; i++) {
        buf_printf(b, ",%d", i * 7919 % 1000003);
    }
    buf_printf(b, ")");
}

static void a_long_literal(struct buf *b)
{
    buf_printf(b, "SELECT '[1");
    repeat(b, ",[1]", TEXT_BYTES);
    buf_printf(b, "]' -> 5 FROM t");
}

static void many_searches(struct buf *b)
{
    buf_printf(b, "SEARCH id FROM t NEAR (KEY 0");
    for (int i = 1; i < 1000; i++) {
        buf_printf(b, ", KEY %d", i);
    }
    buf_printf(b, ") LIMIT 10 WITH (exact = on)");
}

static void a_sort(struct buf *b)
{
    buf_printf(b, "SELECT id, v FROM t ORDER BY -id * 7919 %% 1000003");
}

static const struct {
    const char *name;
    void (*write)(struct buf *b);
} statements[] = {
    {"LIKE of many pieces", like_of_many_pieces},
    {"1,500 conditions", many_conditions},
    {"a set of 60,000", a_large_set},
    {"a literal of 900 KB", a_long_literal},
    {"1,000 exact searches", many_searches},
    {"a sort", a_sort},
};

/* The longest hold so far, as SHOW METRICS tells it. */
static bool worst_hold_us(struct client *c, double *us)
{
    char letter;
    bool is_found = false;
    client_query(c, "SHOW METRICS");
    EXPECT(client_send(c), "not sent");
    while ((letter = client_next(c)) != WIRE_READY) {
        struct arena *arena = arena_new(MEM_GENERAL, 1 << 20);
        struct reader r;
        uint16_t n;
        EXPECT(letter != '.' && letter != '?' && letter != WIRE_ERROR, "got '%c'", letter);
        reader_init(&r, c->frame.payload, c->frame.payload_bytes);
        if (letter == WIRE_ROW && wire_read_column_count(&r, &n) && n > 3) {
            struct value name = value_read(&r, arena);
            (void)value_read(&r, arena); /* kind */
            (void)value_read(&r, arena); /* unit */
            struct value value = value_read(&r, arena);
            bool is_it = name.text.bytes == 13 && memcmp(name.text.data, "loop_hold_max", 13) == 0;
            *us = is_it ? value.number : *us;
            is_found = is_found || is_it;
        }
        arena_free(arena);
    }
    EXPECT(is_found, "SHOW METRICS does not tell loop_hold_max");
    return true;
}

/* By its deadline, or by a cancel that comes as late: how late after that it ends. */
static bool over_ms(void (*write)(struct buf *b), bool by_cancel, uint64_t *ms)
{
    struct client c;
    struct buf b;
    char text[64], trace[64];
    buf_init(&b, MEM_GENERAL, 4 << 20);
    EXPECT(client_start(&c), "no session");
    snprintf(text, sizeof text, "SET timeout = '%dms'", by_cancel ? 0 : DEADLINE_MS);
    client_query(&c, text);
    EXPECT(client_send(&c) && client_says(&c, "skZ"), "no SET");
    write(&b);
    buf_u8(&b, 0);
    client_query(&c, (const char *)b.data);
    uint64_t begun_us = clock_micros();
    EXPECT(client_send(&c), "not sent");
    if (by_cancel) {
        clock_sleep_micros(DEADLINE_MS * 1000);
        EXPECT(client_cancel(&c.key), "no cancel");
    }
    EXPECT(client_until_ready(&c, trace, sizeof trace), "%s", trace);
    uint64_t us = clock_micros() - begun_us;
    *ms = us > DEADLINE_MS * 1000 ? us / 1000 - DEADLINE_MS : 0;
    client_close(&c);
    buf_fini(&b);
    return true;
}

static bool long_statements_end_in_time_and_hold_no_loop(void)
{
    struct client c;
    uint64_t worst_ms = 0, ms;
    double before_us = 0, after_us = 0;
    EXPECT(client_start(&c) && worst_hold_us(&c, &before_us), "see above");
    for (size_t i = 0; i < 2 * COUNT_OF(statements); i++) {
        const char *name = statements[i / 2].name;
        EXPECT(over_ms(statements[i / 2].write, i % 2 == 1, &ms), "%s", name);
        EXPECT(worst_hold_us(&c, &after_us), "see above");
        printf("    %-22s %s %3llu ms late, longest hold so far %.1f ms\n", name,
               i % 2 == 1 ? "cancel: " : "timeout:", (unsigned long long)ms, after_us / 1000);
        worst_ms = ms > worst_ms ? ms : worst_ms;
    }
    EXPECT(worst_ms < OVER_MS_MAX, "%llu ms late", (unsigned long long)worst_ms);
    EXPECT(after_us <= before_us || after_us < HOLD_MS_MAX * 1000, "held for %.1f ms",
           after_us / 1000);
    client_close(&c);
    return true;
}

const struct test hold_tests[] = {
    {"long_statements_end_in_time_and_hold_no_loop", long_statements_end_in_time_and_hold_no_loop},
};
const size_t n_hold_tests = COUNT_OF(hold_tests);
