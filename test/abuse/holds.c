/* Statements that are long because of what they say: how long past its deadline each ends, and how
 * long the worst of them, and of messages that come in numbers or are long, kept a network loop: in
 * CPU time, which a machine that has other things to do does not change.  The other figures are
 * printed, and their bounds are for such a machine. */
#include "abuse.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWNESS 20 /* Of a server that was built as this was. */
#else
#define SLOWNESS 1
#endif

enum {
    DEADLINE_MS = 300,
    OVER_MS_MAX = 1000,
    HOLD_CPU_US_MAX = 5000 * SLOWNESS,
    TEXT_BYTES = 900 << 10,
};

static void repeat(struct buf *b, const char *piece, size_t bytes)
{
    for (size_t end = b->bytes + bytes; b->bytes < end;) {
        buf_bytes(b, piece, strlen(piece));
    }
}

/* Twenty texts of 400 KB, for what looks through all of them. */
static bool load_texts(struct client *c)
{
    client_query(c, "CREATE COLLECTION texts (id INT PRIMARY KEY, s TEXT)");
    EXPECT(client_send(c) && client_says(c, "kZ"), "not created");
    for (int i = 0; i < 20; i++) {
        struct buf b;
        buf_init(&b, MEM_GENERAL, 1 << 20);
        buf_printf(&b, "INSERT INTO texts VALUES (%d, '", i);
        repeat(&b, "ab", 400 << 10);
        buf_printf(&b, "')");
        buf_u8(&b, 0);
        client_query(c, (const char *)b.data);
        EXPECT(client_send(c) && client_says(c, "kZ"), "not inserted");
        buf_fini(&b);
    }
    return true;
}

static void many_likes(struct buf *b)
{
    buf_printf(b, "SELECT id FROM texts WHERE s LIKE '%%c'");
    for (int i = 0; i < 120; i++) {
        buf_printf(b, " OR s LIKE '%%a_a%%b_%%%d%%'", i);
    }
}

static void likes_of_blanks(struct buf *b)
{
    buf_printf(b, "SELECT count(*) FROM texts WHERE s LIKE '%%");
    repeat(b, "a_", 2000);
    buf_printf(b, "c%%'");
}

static void many_conditions(struct buf *b)
{
    buf_printf(b, "SELECT count(*) FROM t WHERE id IN (-1");
    for (int i = 0; i < 20000; i++) {
        buf_printf(b, ", id + %d", i + 1);
    }
    buf_printf(b, ")");
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
    {"120 LIKEs of 8 MB", many_likes},
    {"LIKE with blanks of 8 MB", likes_of_blanks},
    {"20,000 conditions a row", many_conditions},
    {"a set of 60,000", a_large_set},
    {"a literal of 900 KB", a_long_literal},
    {"1,000 exact searches", many_searches},
    {"a sort", a_sort},
};

#define METRIC_NAME "loop_hold_cpu_max"

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
            bool is_it = name.text.bytes == sizeof METRIC_NAME - 1 &&
                         memcmp(name.text.data, METRIC_NAME, name.text.bytes) == 0;
            *us = is_it ? value.number : *us;
            is_found = is_found || is_it;
        }
        arena_free(arena);
    }
    EXPECT(is_found, "SHOW METRICS does not tell it");
    return true;
}

/* By its deadline, or by a cancel that comes as late: how late after that it ends, if it does not
 * end before. */
static bool over_ms(void (*write)(struct buf *b), bool by_cancel, uint64_t *ms, bool *was_ended)
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
    *was_ended = strchr(trace, WIRE_ERROR) != NULL;
    EXPECT(!*was_ended || strcmp(c.sqlstate, by_cancel ? "57014" : "57V01") == 0, "%s", c.sqlstate);
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
    unsigned n_ended = 0;
    bool was_ended;
    double before_us = 0, after_us = 0;
    EXPECT(client_start(&c) && load_texts(&c) && worst_hold_us(&c, &before_us), "see above");
    for (size_t i = 0; i < 2 * COUNT_OF(statements); i++) {
        const char *name = statements[i / 2].name;
        EXPECT(over_ms(statements[i / 2].write, i % 2 == 1, &ms, &was_ended), "%s", name);
        EXPECT(worst_hold_us(&c, &after_us), "see above");
        printf("    %-25s %s %3llu ms late, longest hold so far %.1f ms\n", name,
               !was_ended   ? "done:   "
               : i % 2 == 1 ? "cancel: "
                            : "timeout:",
               (unsigned long long)ms, after_us / 1000);
        n_ended += was_ended;
        worst_ms = ms > worst_ms ? ms : worst_ms;
    }
    EXPECT(n_ended >= 4, "only %u of them were long", n_ended);
    EXPECT(worst_ms < OVER_MS_MAX, "%llu ms late", (unsigned long long)worst_ms);
    EXPECT(after_us <= before_us || after_us < HOLD_CPU_US_MAX, "held for %.1f ms",
           after_us / 1000);
    client_query(&c, "DROP COLLECTION texts");
    EXPECT(client_send(&c) && client_says(&c, "kZ"), "not dropped");
    client_close(&c);
    return true;
}

/* ---- messages in numbers, and long ones ---- */

static bool many_parses(struct client *c)
{
    struct buf text;
    char name[16], letter;
    buf_init(&text, MEM_GENERAL, 1 << 20);
    buf_printf(&text, "SELECT id");
    for (int i = 0; i < 1000; i++) {
        buf_printf(&text, ",id+%d", i);
    }
    buf_printf(&text, " FROM few");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "s%d", i);
        struct wire_parse_message m = {
            .name = {.data = name, .bytes = (uint32_t)strlen(name)},
            .text = {.data = (const char *)text.data, .bytes = (uint32_t)text.bytes}};
        wire_write_parse(&c->out, &m);
    }
    wire_write_empty(&c->out, WIRE_SYNC);
    buf_fini(&text);
    EXPECT(client_send(c), "not sent");
    do {
        letter = client_next(c);
    } while (letter == WIRE_PARSE_COMPLETE);
    EXPECT(letter == WIRE_READY, "got '%c'", letter);
    return true; /* They end with the session. */
}

static bool many_statements_of_a_text(struct client *c)
{
    struct buf b;
    char trace[8];
    buf_init(&b, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 400; i++) {
        buf_printf(&b, "SELECT count(*) FROM few WHERE id > 1;");
    }
    buf_u8(&b, 0);
    client_query(c, (const char *)b.data);
    buf_fini(&b);
    EXPECT(client_send(c) && client_until_ready(c, trace, sizeof trace), "no end");
    return true;
}

static bool frames_of_copy(struct client *c)
{
    client_query(c, "COPY few (id, s) FROM STDIN ON CONFLICT DO NOTHING");
    EXPECT(client_send(c) && client_says(c, "G"), "no COPY");
    for (int n = 0, frame = 0; frame < 4; frame++) {
        size_t begun_at = wire_begin(&c->out, WIRE_COPY_DATA);
        while (c->out.bytes - begun_at < TEXT_BYTES) {
            buf_printf(&c->out, "%d,text %d\n", n, n);
            n++;
        }
        wire_end(&c->out, begun_at);
    }
    wire_write_empty(&c->out, WIRE_COPY_DONE);
    EXPECT(client_send(c) && client_says(c, "kZ"), "COPY failed");
    return true;
}

static bool long_values(struct client *c)
{
    struct buf b;
    buf_init(&b, MEM_GENERAL, 2 << 20);
    buf_printf(&b, "[1");
    repeat(&b, ",[1]", TEXT_BYTES);
    buf_printf(&b, "]");
    static const char update[] = "UPDATE few SET j = $1 WHERE id = 1";
    struct value value = value_text((const char *)b.data, b.bytes);
    struct wire_parse_message m = {.text = {.data = update, .bytes = sizeof update - 1}};
    wire_write_parse(&c->out, &m);
    wire_write_bind(&c->out, (struct wire_str){0}, (struct wire_str){0}, &value, 1);
    wire_write_execute(&c->out, (struct wire_str){0}, 0);
    wire_write_empty(&c->out, WIRE_SYNC);
    buf_fini(&b);
    EXPECT(client_send(c) && client_says(c, "12kZ"), "not updated");
    return true;
}

static const struct {
    const char *name;
    bool (*send)(struct client *c);
} floods[] = {
    {"200 PARSEs at once", many_parses},
    {"400 statements of a text", many_statements_of_a_text},
    {"a value of 900 KB", long_values},
    {"COPY in by 900 KB", frames_of_copy},
};

static bool messages_hold_no_loop(void)
{
    struct client c, sender;
    double us = 0;
    EXPECT(client_start(&c), "no session");
    client_query(&c, "CREATE COLLECTION few (id INT PRIMARY KEY, s TEXT, j JSON)");
    EXPECT(client_send(&c) && client_says(&c, "kZ"), "not created");
    struct buf b;
    buf_init(&b, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 1500; i++) {
        buf_printf(&b, "%s(%d)", i == 0 ? "INSERT INTO few (id) VALUES " : ",", i);
    }
    buf_u8(&b, 0);
    client_query(&c, (const char *)b.data);
    buf_fini(&b);
    EXPECT(client_send(&c) && client_says(&c, "kZ"), "not inserted");
    for (size_t i = 0; i < COUNT_OF(floods); i++) {
        EXPECT(client_start(&sender) && floods[i].send(&sender), "%s", floods[i].name);
        client_close(&sender);
        EXPECT(sessions_fall_to(2) && worst_hold_us(&c, &us), "see above");
        printf("    %-25s longest hold so far %.1f ms\n", floods[i].name, us / 1000);
        EXPECT(us < HOLD_CPU_US_MAX, "%s held for %.1f ms", floods[i].name, us / 1000);
    }
    client_query(&c, "DROP COLLECTION few");
    EXPECT(client_send(&c) && client_says(&c, "kZ"), "not dropped");
    client_close(&c);
    return true;
}

/* Its input ends, and so does what is sent to it: nothing else would tell for a long time. */
static bool a_client_that_leaves_ends_what_runs_for_it(void)
{
    struct client c;
    struct buf b;
    buf_init(&b, MEM_GENERAL, 4 << 20);
    EXPECT(client_start(&c) && load_texts(&c), "see above");
    many_likes(&b);
    buf_u8(&b, 0);
    client_query(&c, "SET timeout = 0");
    EXPECT(client_send(&c) && client_says(&c, "skZ"), "no SET");
    for (int i = 0; i < 20; i++) {
        client_query(&c, (const char *)b.data);
    }
    EXPECT(client_send(&c), "not sent");
    clock_sleep_micros(DEADLINE_MS * 1000);
    client_close(&c);
    uint64_t begun_us = clock_micros();
    EXPECT(sessions_fall_to(1), "it goes on");
    uint64_t ms = (clock_micros() - begun_us) / 1000;
    EXPECT(ms < OVER_MS_MAX, "after %llu ms", (unsigned long long)ms);
    EXPECT(client_start(&c), "no session");
    client_query(&c, "DROP COLLECTION texts");
    EXPECT(client_send(&c) && client_says(&c, "kZ"), "not dropped");
    client_close(&c);
    buf_fini(&b);
    return true;
}

const struct test hold_tests[] = {
    {"messages_hold_no_loop", messages_hold_no_loop},
    {"long_statements_end_in_time_and_hold_no_loop", long_statements_end_in_time_and_hold_no_loop},
    {"a_client_that_leaves_ends_what_runs_for_it", a_client_that_leaves_ends_what_runs_for_it},
};
const size_t n_hold_tests = COUNT_OF(hold_tests);
