/* LIKE: a pattern, taken apart once, and whether a text matches it.
 *
 *   pattern   run % run % ... % run        the first and the last run may be empty
 *   run       _ _ literal _ literal ...    pieces: a literal, and how many _ stand before it
 *
 * The first run stands at the front of the text and the last one at its end; each of the others is
 * looked for behind the one before it, leftmost first, which is right since % takes anything: where
 * an earlier place of a run leads to a match, so does the earliest.  A run is found by its longest
 * literal and then compared in both directions.
 *
 * Without _ the time is linear in the text, as memmem's is.  With _ inside a run it is the text
 * times the run at the worst; every comparison is paid for.  _ is a character of UTF-8. */
#define _GNU_SOURCE /* memmem */
#include "expr/expr_int.h"

#include <string.h>

enum {
    WINDOW_BYTES = 64 << 10, /* Searched between two payments. */
    PIECE_WORK = 8,
};

struct piece {
    const char *data;
    uint32_t bytes;
    uint32_t skip; /* Characters of any kind before it. */
};

struct run {
    struct piece *pieces; /* The first one's skip is 0: it is in lead. */
    uint32_t n;
    uint32_t longest; /* Whose literal is. */
    uint32_t lead;    /* Characters of any kind before all of it. */
};

struct like {
    struct run *runs; /* At least one; where there is only one, it is the whole text. */
    size_t n_runs;
};

/* ---- the pattern ---- */

/* Room for the pattern's parts: none has more than this. */
static enum errcode make_room(struct like *like, const char *pattern, size_t bytes,
                              struct arena *arena, struct piece **pieces, char **text,
                              struct err *err)
{
    size_t n_pieces = 1, n_runs = 1;
    for (size_t i = 0; i < bytes; i++) {
        bool is_any = pattern[i] == '%';
        n_pieces += is_any || pattern[i] == '_';
        n_runs += is_any && (i == 0 || pattern[i - 1] != '%');
    }
    *text = arena_alloc(arena, bytes);
    *pieces = arena_array(arena, n_pieces, sizeof(**pieces));
    like->runs = arena_array(arena, n_runs, sizeof(*like->runs));
    return *text == NULL || *pieces == NULL || like->runs == NULL ? err_no_memory(err) : ERR_OK;
}

static void begin_run(struct run *run, struct piece *pieces, const char *data)
{
    *run = (struct run){.pieces = pieces, .n = 1};
    pieces[0] = (struct piece){.data = data};
}

static void end_run(struct run *run)
{
    run->lead = run->pieces[0].skip;
    run->pieces[0].skip = 0;
    for (uint32_t i = 1; i < run->n; i++) {
        run->longest = run->pieces[i].bytes > run->pieces[run->longest].bytes ? i : run->longest;
    }
}

static bool is_empty(const struct run *run)
{
    return run->n == 1 && run->pieces[0].bytes == 0 && run->pieces[0].skip == 0;
}

enum errcode like_compile(const char *pattern, size_t bytes, struct arena *arena,
                          const struct like **out, struct err *err)
{
    struct piece *pieces;
    char *text;
    struct like *like = arena_zalloc(arena, sizeof(*like));
    if (like == NULL) {
        return err_no_memory(err);
    }
    enum errcode code = make_room(like, pattern, bytes, arena, &pieces, &text, err);
    if (code != ERR_OK) {
        return code;
    }
    struct run *run = &like->runs[0];
    begin_run(run, pieces, text);
    for (size_t i = 0; i < bytes; i++) {
        struct piece *piece = &run->pieces[run->n - 1];
        if (pattern[i] == '%') {
            bool is_doubled = run > like->runs && is_empty(run);
            if (!is_doubled) {
                end_run(run);
                pieces = run->pieces + run->n;
                begin_run(++run, pieces, text);
            }
        } else if (pattern[i] == '_' && piece->bytes > 0) {
            run->pieces[run->n++] = (struct piece){.data = text, .skip = 1};
        } else if (pattern[i] == '_') {
            piece->skip++;
        } else {
            i += pattern[i] == '\\';
            if (i == bytes) {
                err_set(err, ERR_BAD_LIKE_PATTERN, "a LIKE pattern ends in the escape \\");
                err_hint(err, "Write \\\\ for a backslash.");
                return ERR_BAD_LIKE_PATTERN;
            }
            *text++ = pattern[i];
            piece->bytes++;
        }
    }
    end_run(run);
    like->n_runs = (size_t)(run - like->runs) + 1;
    *out = like;
    return ERR_OK;
}

/* ---- the text ---- */

/* What of a text is still to be matched: [at, end). */
struct span {
    const char *data;
    size_t at, end;
    struct work *work;
};

static bool is_inside(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Moves the front over n characters. */
static bool skip_forward(struct span *s, uint32_t n)
{
    work_charge(s->work, n);
    for (; n > 0; n--) {
        if (s->at == s->end) {
            return false;
        }
        do {
            s->at++;
        } while (s->at < s->end && is_inside(s->data[s->at]));
    }
    return true;
}

/* Moves the end. */
static bool skip_backward(struct span *s, uint32_t n)
{
    work_charge(s->work, n);
    for (; n > 0; n--) {
        if (s->at == s->end) {
            return false;
        }
        do {
            s->end--;
        } while (s->end > s->at && is_inside(s->data[s->end]));
    }
    return true;
}

static bool compare(struct span *s, const struct piece *piece, size_t at)
{
    work_charge(s->work, PIECE_WORK + piece->bytes / BYTES_A_UNIT);
    return memcmp(s->data + at, piece->data, piece->bytes) == 0;
}

/* Whether the pieces stand at the front, which moves behind them. */
static bool follow(struct span *s, const struct piece *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!skip_forward(s, pieces[i].skip) || s->end - s->at < pieces[i].bytes ||
            !compare(s, &pieces[i], s->at)) {
            return false;
        }
        s->at += pieces[i].bytes;
    }
    return true;
}

/* Whether the pieces stand at the end, which moves before them. */
static bool precede(struct span *s, const struct piece *pieces, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        if (s->end - s->at < pieces[i].bytes || !compare(s, &pieces[i], s->end - pieces[i].bytes)) {
            return false;
        }
        s->end -= pieces[i].bytes;
        if (!skip_backward(s, pieces[i].skip)) {
            return false;
        }
    }
    return true;
}

/* The leftmost place of the literal from @from on, or SIZE_MAX.  A window at a time, and those of a
 * long literal are paid for before they are searched, since they take so long. */
static enum errcode find_literal(struct span *s, const struct piece *piece, size_t from,
                                 size_t *place, struct err *err)
{
    *place = SIZE_MAX;
    while (s->end - from >= piece->bytes) {
        size_t left = s->end - from, window = 2 * (size_t)piece->bytes;
        window = window < WINDOW_BYTES ? WINDOW_BYTES : window;
        window = window < left ? window : left;
        enum errcode code = work_spend(s->work, window > WINDOW_BYTES ? window : PIECE_WORK, err);
        if (code != ERR_OK) {
            return code;
        }
        const char *found = memmem(s->data + from, window, piece->data, piece->bytes);
        size_t done = found != NULL ? (size_t)(found - (s->data + from)) : window;
        work_charge(s->work, window > WINDOW_BYTES ? 0 : done + piece->bytes);
        if (found != NULL) {
            *place = from + done;
            return ERR_OK;
        }
        from += window - piece->bytes + 1;
    }
    return ERR_OK;
}

/* The leftmost place of the run; the front moves behind it. */
static enum errcode find_run(struct span *s, const struct run *run, bool *found, struct err *err)
{
    const struct piece *longest = &run->pieces[run->longest];
    *found = skip_forward(s, run->lead);
    if (!*found || longest->bytes == 0) {
        return ERR_OK;
    }
    for (size_t from = s->at;;) {
        size_t place;
        enum errcode code = find_literal(s, longest, from, &place, err);
        if (code != ERR_OK || place == SIZE_MAX) {
            *found = false;
            return code;
        }
        struct span before = {s->data, s->at, place, s->work};
        struct span behind = {s->data, place + longest->bytes, s->end, s->work};
        *found = skip_backward(&before, longest->skip) &&
                 precede(&before, run->pieces, run->longest) &&
                 follow(&behind, longest + 1, run->n - run->longest - 1);
        if (*found) {
            s->at = behind.at;
            return ERR_OK;
        }
        from = place + 1;
    }
}

enum errcode like_matches(const struct like *like, const struct value *text, struct work *work,
                          bool *matches, struct err *err)
{
    struct span s = {text->text.data, 0, text->text.bytes, work};
    const struct run *first = &like->runs[0], *last = &like->runs[like->n_runs - 1];
    *matches = skip_forward(&s, first->lead) && follow(&s, first->pieces, first->n);
    if (first == last) {
        *matches = *matches && s.at == s.end;
        return ERR_OK;
    }
    *matches = *matches && precede(&s, last->pieces, last->n) && skip_backward(&s, last->lead);
    enum errcode code = ERR_OK;
    for (const struct run *run = first + 1; run < last && code == ERR_OK && *matches; run++) {
        code = find_run(&s, run, matches, err);
    }
    return code;
}
