/* A shard in a directory of its own, on a log of its own, and short ways to write and read it. */
#ifndef VECTRON_TEST_SHARD_FIXTURE_H
#define VECTRON_TEST_SHARD_FIXTURE_H

#include "../unit.h"
#include "shard/shard.h"

enum {
    DIM = 8,
    GROUP = 9,
    /* Columns of the schema that most tests use. */
    ID = 0,
    EMBEDDING = 1,
    TITLE = 2,
    YEAR = 3,
    N_COLUMNS = 4,
};

struct fixture {
    char *directory;
    struct schema schema;
    struct policy_set file;
    struct repl *repl;
    struct shard_host *host;
    struct shard *shard;
    struct arena *arena;
};

/* id TEXT PRIMARY KEY, embedding VECTOR(DIM) L2, title TEXT, year INT NOT NULL */
void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f);
int fixture_set_up(void **state); /* One for a test, which is not started. */
int fixture_tear_down(void **state);
void fixture_policy(struct fixture *f, const char *name, const char *text);
/* The collection's m and ef_construction, before it is started. */
void fixture_graph(struct fixture *f, int64_t with_m, int64_t with_ef_construction);
void fixture_start(struct fixture *f); /* Opens all. */
void fixture_stop(struct fixture *f);  /* Closes all, as a shutdown does. */
enum errcode fixture_try_start(struct fixture *f, struct err *err);
void fixture_path(const struct fixture *f, const char *name, char *out, size_t bytes);

/* A vector that is a function of @i alone. */
void make_vector(uint64_t i, float out[DIM]);

/* A command is sent and waited for. */
enum errcode send_command(struct fixture *f, struct shard_command *command, enum ack ack,
                          uint64_t *rows, struct err *err);
struct shard_command *new_command(struct fixture *f);
/* Key "k<key>", vector of @vector (0: null), title (NULL: null), year. */
struct given {
    uint64_t key, vector;
    const char *title;
    int64_t year;
};
struct given row_of(uint64_t key, uint64_t vector, const char *title, int64_t year);
void add_row(struct shard_command *command, enum shard_op op, struct given row);
void add_stamped(struct shard_command *command, enum shard_op op, struct given row, uint32_t stamp);
/* One row, acknowledged visible. */
enum errcode write_row(struct fixture *f, enum shard_op op, struct given row, struct err *err);
enum errcode delete_row(struct fixture *f, uint64_t i, struct err *err);
/* Rows [from, to), in commands of @batch rows: row i has vector i and year i. */
void insert_rows(struct fixture *f, uint64_t from, uint64_t to, uint64_t batch);

/* What row "k<i>" is; false where there is none. */
struct seen {
    uint64_t number;
    uint32_t stamp;
    bool has_vector;
    float vector[DIM];
    char title[64]; /* "<null>" */
    int64_t year;
};
bool see_row(struct fixture *f, uint64_t i, struct seen *out);
bool see_in_view(struct fixture *f, struct shard_view *view, uint64_t i, struct seen *out);
uint64_t count_rows(struct fixture *f);
/* The nearest row's number to vector @v, and its distance. */
uint64_t nearest(struct fixture *f, uint64_t v, double *distance);
void wait_until_linked(struct fixture *f);
/* A figure of all rows and of the keys' order of numbers: equal where the content is. */
uint64_t content_hash(struct fixture *f);

#endif
