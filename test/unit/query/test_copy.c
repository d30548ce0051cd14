/* COPY in and out: formats, options, errors that name the place, files on the server. */
#include "query_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct client *setup_table(void **state)
{
    struct client *c = &((struct fixture *)*state)->client;
    expect_ok(c, "CREATE COLLECTION t (id INT PRIMARY KEY, name TEXT, e VECTOR(2) METRIC L2)");
    return c;
}

static const char *copied(struct client *c)
{
    buf_u8(&c->copy, 0);
    c->copy.bytes--;
    return (const char *)c->copy.data;
}

static void csv_goes_in_and_comes_out_the_same(void **state)
{
    struct client *c = setup_table(state);
    static const char csv[] = "id,name,e\n1,plain,\"[1,2]\"\n2,,\n3,\"a,\"\"b\n\",\"[0.5,-1]\"\n"
                              "4,\"\",\"[0,0]\"\n";
    for (size_t piece = 1; piece < sizeof(csv); piece += 7) {
        expect_ok(c, "DELETE FROM t");
        assert_int_equal(
            run_copy(c, "COPY t FROM STDIN WITH (FORMAT csv, HEADER)", csv, strlen(csv), piece),
            ERR_OK);
        assert_int_equal(c->changed, 4);
        assert_string_equal(c->tag, "COPY");
    }
    expect_ok(c, "COPY t TO STDOUT (HEADER true)");
    assert_string_equal(copied(c), csv);
    expect_rows(c, "SELECT name IS NULL FROM t WHERE id IN (2, 4)", "true\nfalse\n");
}

static void csv_takes_a_delimiter_and_a_null_text(void **state)
{
    struct client *c = setup_table(state);
    static const char csv[] = "x|7\n\\N|8\n";
    assert_int_equal(run_copy(c, "COPY t (name, id) FROM STDIN WITH (DELIMITER '|', NULL '\\N')",
                              csv, strlen(csv), 3),
                     ERR_OK);
    expect_ok(c, "COPY t (name, id) TO STDOUT WITH (DELIMITER '|', NULL '\\N')");
    assert_string_equal(copied(c), csv);
}

static void a_bad_line_is_named_and_earlier_rows_are_counted(void **state)
{
    struct client *c = setup_table(state);
    struct buf csv;
    buf_init(&csv, MEM_GENERAL, 1 << 24);
    for (int i = 1; i <= 3000; i++) {
        buf_printf(&csv, i == 2500 ? "oops,x,\n" : "%d,x,\n", i);
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv.data, csv.bytes, 1000),
                     ERR_BAD_TEXT_REPRESENTATION);
    assert_non_null(strstr(c->err.message, "COPY t, line 2500: column \"id\""));
    assert_string_equal(c->err.column, "id");
    assert_string_equal(c->err.detail, "2048 rows were loaded.");
    expect_rows(c, "SELECT count(*) FROM t", "2048\n");
    buf_fini(&csv);
}

static void a_copy_that_failed_in_the_middle_can_be_run_again(void **state)
{
    struct client *c = setup_table(state);
    struct buf csv;
    buf_init(&csv, MEM_GENERAL, 1 << 24);
    for (int i = 1; i <= 3000; i++) {
        buf_printf(&csv, i == 2500 ? "oops,x,\n" : "%d,x,\n", i);
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv.data, csv.bytes, 1000),
                     ERR_BAD_TEXT_REPRESENTATION);
    assert_non_null(strstr(c->err.hint, "ON CONFLICT DO NOTHING"));
    char *bad = strstr((char *)csv.data, "oops");
    memcpy(bad, "2500", 4);
    assert_int_equal(
        run_copy(c, "COPY t FROM STDIN ON CONFLICT DO NOTHING", csv.data, csv.bytes, 1000), ERR_OK);
    assert_int_equal(c->changed, 3000 - 2048);
    expect_rows(c, "SELECT count(*) FROM t", "3000\n");
    buf_fini(&csv);
}

static void on_conflict_decides_about_taken_keys(void **state)
{
    struct client *c = setup_table(state);
    expect_ok(c, "INSERT INTO t VALUES (1, 'old', [1, 1])");
    static const char csv[] = "1,new\n2,two\n2,again\n";
    assert_int_equal(
        run_copy(c, "COPY t (id, name) FROM STDIN ON CONFLICT DO NOTHING", csv, strlen(csv), 5),
        ERR_OK);
    assert_int_equal(c->changed, 1);
    expect_rows(c, "SELECT * FROM t ORDER BY id", "1|old|[1,1]\n2|two|\n");
    assert_int_equal(
        run_copy(c, "COPY t (id, name) FROM STDIN ON CONFLICT DO UPDATE", csv, strlen(csv), 5),
        ERR_OK);
    assert_int_equal(c->changed, 3);
    expect_rows(c, "SELECT * FROM t ORDER BY id", "1|new|[1,1]\n2|again|\n");
}

static void of_two_rows_of_one_key_the_later_one_counts(void **state)
{
    struct client *c = setup_table(state);
    struct buf rows;
    buf_init(&rows, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 3000; i++) { /* Seven keys again and again: a batch ends at each. */
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        struct value values[] = {value_int(i < 1500 ? i : i % 7), value_cstr(name)};
        buf_u16(&rows, 2);
        value_write(&rows, &values[0]);
        value_write(&rows, &values[1]);
    }
    static const char copy[] = "COPY t (id, name) FROM STDIN ON CONFLICT DO UPDATE (FORMAT binary)";
    for (size_t piece = 11; piece < 100000; piece *= 97) {
        assert_int_equal(run_copy(c, copy, rows.data, rows.bytes, piece), ERR_OK);
        assert_int_equal(c->changed, 3000);
        expect_rows(c, "SELECT id, name FROM t WHERE id < 8 ORDER BY id",
                    "0|2996\n1|2997\n2|2998\n3|2999\n4|2993\n5|2994\n6|2995\n7|7\n");
    }
    buf_fini(&rows);
}

static void a_key_that_is_taken_is_named_with_its_line(void **state)
{
    struct client *c = setup_table(state);
    static const char csv[] = "id,name\n1,\"a\nb\"\n\n2,b\n1,c\n";
    assert_int_equal(
        run_copy(c, "COPY t (id, name) FROM STDIN (HEADER)", csv, strlen(csv), sizeof(csv)),
        ERR_DUPLICATE_KEY);
    assert_string_equal(c->err.message,
                        "COPY t, line 6: id \"1\" of collection \"t\" occurs twice in one write");
    expect_rows(c, "SELECT count(*) FROM t", "0\n");
    expect_ok(c, "INSERT INTO t (id) VALUES (2)");
    assert_int_equal(run_copy(c, "COPY t (id, name) FROM STDIN (HEADER)", csv, strlen(csv), 3),
                     ERR_DUPLICATE_KEY);
    assert_string_equal(c->err.message,
                        "COPY t, line 5: id \"2\" of collection \"t\" exists already");
}

static void a_key_that_is_taken_is_named_with_its_row_where_there_are_no_lines(void **state)
{
    struct client *c = setup_table(state);
    struct buf rows;
    buf_init(&rows, MEM_GENERAL, 1 << 20);
    expect_ok(c, "INSERT INTO t (id) VALUES (1500)");
    for (int i = 1; i <= 2000; i++) {
        struct value value = value_int(i);
        buf_u16(&rows, 1);
        value_write(&rows, &value);
    }
    assert_int_equal(
        run_copy(c, "COPY t (id) FROM STDIN (FORMAT binary)", rows.data, rows.bytes, rows.bytes),
        ERR_DUPLICATE_KEY);
    assert_string_equal(c->err.message,
                        "COPY t, row 1500: id \"1500\" of collection \"t\" exists already");
    buf_fini(&rows);
}

/* All of it is decoded before the first batch is answered. */
static void of_several_errors_that_of_the_first_line_is_told(void **state)
{
    struct client *c = setup_table(state);
    struct buf csv;
    buf_init(&csv, MEM_GENERAL, 1 << 24);
    expect_ok(c, "INSERT INTO t (id) VALUES (1000), (1500), (2500)");
    for (int i = 1; i <= 3000; i++) {
        buf_printf(&csv, i == 2600 ? "oops,x,\n" : "%d,x,\n", i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_copy(c, "COPY t FROM STDIN", csv.data, csv.bytes, csv.bytes),
                         ERR_DUPLICATE_KEY);
        assert_non_null(strstr(c->err.message, "COPY t, line 1000: id \"1000\""));
        assert_string_equal(c->err.detail, "0 rows were loaded.");
        expect_rows(c, "SELECT count(*) FROM t", "3\n");
    }
    buf_fini(&csv);
}

static void the_wrong_number_of_fields_is_an_error(void **state)
{
    struct client *c = setup_table(state);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "1,a\n", 4, 100), ERR_BAD_COPY_DATA);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "1,a,\"[1", 7, 100), ERR_BAD_COPY_DATA);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "1,a,\"[1]\"\n", 10, 100),
                     ERR_WRONG_DIMENSION);
    assert_non_null(strstr(c->err.message, "line 1"));
}

#define bad_copy(c, data, why) bad_copy_at((c), (data), (why), __LINE__)
static void bad_copy_at(struct client *c, const char *data, const char *why, int line)
{
    enum errcode code = run_copy(c, "COPY t (id, name) FROM STDIN (HEADER)", data, strlen(data), 7);
    if (code != ERR_BAD_COPY_DATA || strstr(c->err.message, why) == NULL) {
        print_error("%s\ngave %s\n", data, c->err.message);
        _fail(__FILE__, line);
    }
}

static void a_header_says_which_columns_the_fields_are(void **state)
{
    struct client *c = setup_table(state);
    static const char copy[] = "COPY t FROM STDIN ON CONFLICT DO UPDATE (HEADER)";
    static const char all[] = "\xef\xbb\xbf"
                              "e,ID,name\r\n\"[1,2]\",1,one\r\n";
    static const char some[] = "name,id\nuno,1\ndue,2\n";
    assert_int_equal(run_copy(c, copy, all, strlen(all), 3), ERR_OK);
    expect_rows(c, "SELECT * FROM t", "1|one|[1,2]\n");
    assert_int_equal(run_copy(c, copy, some, strlen(some), 3), ERR_OK);
    expect_rows(c, "SELECT * FROM t ORDER BY id", "1|uno|[1,2]\n2|due|\n");
    assert_int_equal(run_copy(c, copy, "id\n", 3, 1), ERR_OK);
    assert_int_equal(run_copy(c, copy, "", 0, 1), ERR_OK);
    bad_copy(c, "id,name,id\n", "line 1: the header names column \"id\" twice");
    bad_copy(c, "id,Title\n", "column \"Title\", which t has not");
    bad_copy(c, "id,e\n", "column \"e\", which the list of columns of this COPY has not");
    bad_copy(c, "name\n", "does not name the primary key \"id\"");
    bad_copy(c, "\n", "column \"\"");
    bad_copy(c, "id,name\n5\n", "line 2: 1 fields where 2");
    expect_ok(c, "CREATE COLLECTION q (id INT PRIMARY KEY, \"A\" INT, a INT)");
    assert_int_equal(run_copy(c, "COPY q FROM STDIN (HEADER)", "A,a,id\n1,2,3\n", 13, 3), ERR_OK);
    expect_rows(c, "SELECT id, \"A\", a FROM q", "3|1|2\n");
}

static void a_tab_may_stand_between_fields(void **state)
{
    struct client *c = setup_table(state);
    static const char tsv[] = "1\ta,b\t\"[1,2]\"\n2\t\"a\tb\"\t\n";
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (DELIMITER E'\\t')", tsv, strlen(tsv), 5),
                     ERR_OK);
    expect_rows(c, "SELECT id, name FROM t", "1|a,b\n2|a\tb\n");
    expect_ok(c, "COPY t TO STDOUT (DELIMITER E'\\t')");
    assert_string_equal(copied(c), "1\ta,b\t[1,2]\n2\t\"a\tb\"\t\n");
    expect_error(c, "COPY t TO STDOUT (DELIMITER '\\t')", ERR_BAD_PARAMETER);
    assert_non_null(strstr(c->err.hint, "E'\\t'"));
    expect_error(c, "COPY t TO STDOUT (NULL 'a,b')", ERR_BAD_PARAMETER);
}

static void make_fbin(struct buf *b, uint32_t n, uint32_t dim)
{
    buf_init(b, MEM_GENERAL, 1 << 24);
    buf_u32(b, n);
    buf_u32(b, dim);
    for (uint32_t i = 0; i < n * dim; i++) {
        buf_f32(b, (float)i);
    }
}

static void fbin_numbers_its_rows_and_comes_out_the_same(void **state)
{
    struct client *c = setup_table(state);
    struct buf fbin;
    make_fbin(&fbin, 2500, 2); /* More than a batch. */
    for (size_t piece = 3; piece < 100000; piece *= 31) {
        expect_ok(c, "DELETE FROM t");
        assert_int_equal(run_copy(c, "COPY t FROM STDIN WITH (FORMAT fbin, START 100)", fbin.data,
                                  fbin.bytes, piece),
                         ERR_OK);
        assert_int_equal(c->changed, 2500);
    }
    expect_rows(c, "SELECT id, e FROM t WHERE id IN (99, 100, 2599)",
                "100|[0,1]\n2599|[4998,4999]\n");
    expect_ok(c, "COPY t (e) TO STDOUT WITH (FORMAT fbin)");
    assert_int_equal(c->copy.bytes, fbin.bytes);
    assert_memory_equal(c->copy.data, fbin.data, fbin.bytes);
    buf_fini(&fbin);
}

static void fbin_that_lies_about_itself_is_an_error(void **state)
{
    struct client *c = setup_table(state);
    static const char copy[] = "COPY t FROM STDIN WITH (FORMAT fbin)";
    struct buf fbin;
    make_fbin(&fbin, 3, 2);
    assert_int_equal(run_copy(c, copy, fbin.data, fbin.bytes - 4, 7), ERR_BAD_COPY_DATA);
    assert_non_null(strstr(c->err.message, "fewer"));
    buf_u32(&fbin, 0);
    assert_int_equal(run_copy(c, copy, fbin.data, fbin.bytes, 1000), ERR_BAD_COPY_DATA);
    assert_non_null(strstr(c->err.message, "more"));
    assert_int_equal(run_copy(c, copy, fbin.data, 5, 1000), ERR_BAD_COPY_DATA);
    buf_patch_u32(&fbin, 4, 3);
    assert_int_equal(run_copy(c, copy, fbin.data, fbin.bytes, 1000), ERR_WRONG_DIMENSION);
    buf_fini(&fbin);
}

static void the_row_of_an_error_is_the_one_that_is_wrong(void **state)
{
    struct client *c = setup_table(state);
    struct buf data;
    char place[16];
    for (unsigned bad = 1; bad <= 3; bad++) { /* As fbin, then as binary. */
        snprintf(place, sizeof(place), "row %u: ", bad);
        make_fbin(&data, 3, 2);
        buf_patch_u32(&data, 8 * bad + 4, 0x7fc00000); /* NaN. */
        assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT fbin)", data.data, data.bytes, 5),
                         ERR_NOT_FINITE);
        assert_non_null(strstr(c->err.message, place));
        buf_reset(&data);
        for (unsigned i = 1; i <= 3; i++) {
            struct value id = value_int(i), name = value_int(5), null = value_null();
            buf_u16(&data, 2);
            value_write(&data, &id);
            value_write(&data, i == bad ? &name : &null);
        }
        assert_int_equal(
            run_copy(c, "COPY t (id, name) FROM STDIN (FORMAT binary)", data.data, data.bytes, 5),
            ERR_TYPE_MISMATCH);
        assert_non_null(strstr(c->err.message, place));
        buf_reset(&data);
        for (unsigned i = 1; i <= 3; i++) {
            struct value id = i == bad ? value_null() : value_int(i);
            buf_u16(&data, 1);
            value_write(&data, &id);
        }
        assert_int_equal(
            run_copy(c, "COPY t (id) FROM STDIN (FORMAT binary)", data.data, data.bytes, 5),
            ERR_NOT_NULL);
        assert_non_null(strstr(c->err.message, place));
        buf_fini(&data);
    }
}

static void binary_rows_go_in_and_come_out_the_same(void **state)
{
    struct client *c = setup_table(state);
    struct buf rows;
    float vector[] = {1, 2};
    buf_init(&rows, MEM_GENERAL, 1 << 20);
    for (int i = 0; i < 10; i++) {
        struct value values[] = {value_int(i), i % 2 == 0 ? value_cstr("x") : value_null(),
                                 value_vector(vector, 2)};
        buf_u16(&rows, 3);
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            value_write(&rows, &values[j]);
        }
    }
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes, 5),
                     ERR_OK);
    expect_ok(c, "COPY t TO STDOUT (FORMAT binary)");
    assert_int_equal(c->copy.bytes, rows.bytes);
    assert_memory_equal(c->copy.data, rows.data, rows.bytes);
    expect_ok(c, "DELETE FROM t");
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes - 1, 5),
                     ERR_BAD_COPY_DATA);
    rows.data[0] = 9;
    assert_int_equal(run_copy(c, "COPY t FROM STDIN (FORMAT binary)", rows.data, rows.bytes, 5),
                     ERR_BAD_COPY_DATA);
    buf_fini(&rows);
}

/* ---- files of the server ---- */

static void path_of(void **state, const char *name, char out[160])
{
    snprintf(out, 160, "%s.files/%s", ((struct fixture *)*state)->directory, name);
}

static void set_copy_directory(struct fixture *f, const char *path)
{
    struct err err;
    struct value value = value_cstr(path);
    assert_int_equal(policy_assign_name(&f->policies, "copy_directory", LEVEL_FILE, &value, &err),
                     ERR_OK);
    database_reload(f->db, &f->policies);
}

static bool has_file(void **state, const char *name)
{
    char path[160];
    struct stat facts;
    path_of(state, name, path);
    return lstat(path, &facts) == 0;
}

static void write_file(void **state, const char *name, const char *text)
{
    char path[160];
    path_of(state, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* All that stands in copy_directory, as find prints it. */
static size_t count_files(void **state)
{
    char path[160], command[200], line[300];
    size_t n = 0;
    path_of(state, "", path);
    snprintf(command, sizeof(command), "find %s -type f", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe) != NULL) {
        n++;
    }
    pclose(pipe);
    return n;
}

static void files_on_the_server_are_written_and_read(void **state)
{
    struct client *c = setup_table(state);
    struct buf fbin;
    make_fbin(&fbin, 4000, 2);
    assert_int_equal(
        run_copy(c, "COPY t FROM STDIN WITH (FORMAT fbin)", fbin.data, fbin.bytes, 65536), ERR_OK);
    expect_ok(c, "COPY t TO 'out.csv'");
    assert_int_equal(c->changed, 4000);
    expect_ok(c, "COPY t (e) TO 'out.fbin' WITH (FORMAT fbin)");
    expect_ok(c, "COPY t (id) TO 'out.ids'");
    assert_int_equal(count_files(state), 3); /* None of a temporary name is left. */
    expect_ok(c, "DELETE FROM t; COPY t FROM 'out.csv'");
    assert_int_equal(c->changed, 4000);
    expect_ok(c, "DELETE FROM t");
    expect_ok(c, "COPY t FROM 'out.fbin' WITH (FORMAT fbin, IDS 'out.ids')");
    expect_rows(c, "SELECT count(*) FROM t WHERE id >= 0 AND id < 4000", "4000\n");
    expect_error(c, "COPY t FROM 'none.csv'", ERR_IO);
    expect_error(c, "COPY t TO 'none/none.csv'", ERR_IO);
    buf_fini(&fbin);
}

static void a_copy_out_that_fails_leaves_what_was_there(void **state)
{
    struct client *c = setup_table(state);
    expect_ok(c, "INSERT INTO t (id) VALUES (1)");
    expect_error(c, "COPY t (e) TO 'half.fbin' WITH (FORMAT fbin)", ERR_NOT_NULL);
    assert_int_equal(count_files(state), 0);
    write_file(state, "half.fbin", "7,seven,\n");
    expect_error(c, "COPY t (e) TO 'half.fbin' WITH (FORMAT fbin)", ERR_NOT_NULL);
    expect_ok(c, "COPY t FROM 'half.fbin'");
    expect_rows(c, "SELECT name FROM t WHERE id = 7", "seven\n");
}

#define refused(c, text, why) refused_at((c), (text), (why), __LINE__)
static void refused_at(struct client *c, const char *text, const char *why, int line)
{
    if (run(c, text) != ERR_INSUFFICIENT_PRIVILEGE || strstr(c->err.message, why) == NULL ||
        strstr(c->err.hint, "\\copy") == NULL || strcmp(c->err.policy, "copy_directory") != 0) {
        print_error("%s\ngave %s\n", text, c->err.message);
        _fail(__FILE__, line);
    }
}

static void without_copy_directory_no_file_of_the_server_is_touched(void **state)
{
    struct client *c = setup_table(state);
    set_copy_directory(*state, "");
    refused(c, "COPY t FROM '/etc/passwd'", "no file of the server");
    refused(c, "COPY t FROM 'x.csv'", "no file of the server");
    refused(c, "COPY t TO 'x.csv'", "no file of the server");
    refused(c, "COPY t TO '/tmp/x.csv'", "no file of the server");
    assert_int_equal(count_files(state), 0);
    expect_error(c, "SET copy_directory = '/'", ERR_POLICY_SCOPE);
    expect_error(c, "COPY t FROM 'x.csv' WITH (copy_directory = '/')", ERR_POLICY_SCOPE);
}

static void no_name_leads_out_of_copy_directory(void **state)
{
    struct client *c = setup_table(state);
    char path[160], link[160], text[400];
    refused(c, "COPY t FROM '/etc/passwd'", "below");
    refused(c, "COPY t FROM '../passwd'", "upwards");
    refused(c, "COPY t TO './../../x.csv'", "upwards");
    refused(c, "COPY t TO ''", "below");
    refused(c, "COPY t FROM '..'", "upwards");
    path_of(state, "link", link);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    refused(c, "COPY t FROM 'link'", "is a symbolic link");
    refused(c, "COPY t TO 'link'", "is a symbolic link");
    refused(c, "COPY t FROM 'link' WITH (FORMAT fbin, IDS 'link')", "is a symbolic link");
    path_of(state, "folder", link);
    assert_int_equal(symlink("/etc", link), 0);
    refused(c, "COPY t FROM 'folder/passwd'", "through a symbolic link");
    refused(c, "COPY t TO 'folder/x.csv'", "through a symbolic link");
    path_of(state, "../x.csv", path);
    snprintf(text, sizeof(text), "COPY t TO '%s'", path);
    refused(c, text, "upwards");
    path_of(state, "", path);
    path[strlen(path) - 1] = '\0'; /* Another directory whose name begins alike. */
    snprintf(text, sizeof(text), "COPY t TO '%s2/x.csv'", path);
    refused(c, text, "below");
    write_file(state, "x.fbin", "");
    refused(c, "COPY t FROM 'x.fbin' WITH (FORMAT fbin, IDS '/etc/passwd')", "below");
}

static void names_within_copy_directory_are_taken_as_they_are_written(void **state)
{
    struct client *c = setup_table(state);
    char path[160], text[400];
    expect_ok(c, "INSERT INTO t (id, name) VALUES (1, 'one')");
    path_of(state, "sub", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(state, "sub//a.csv", path);
    snprintf(text, sizeof(text), "COPY t TO '%s'", path);
    expect_ok(c, text);
    assert_true(has_file(state, "sub/a.csv"));
    expect_ok(c, "DELETE FROM t; COPY t FROM './sub/./a.csv'");
    expect_rows(c, "SELECT name FROM t", "one\n");
    refused(c, "COPY t FROM 'sub'", "is not a regular file");
    refused(c, "COPY t TO 'sub'", "is not a regular file");
    path_of(state, "fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(c, "COPY t FROM 'fifo'", "is not a regular file");
    refused(c, "COPY t TO 'fifo'", "is not a regular file");
    memset(path, 'n', sizeof(path));
    snprintf(text, sizeof(text), "COPY t TO '%.150s%.150s'", path, path);
    expect_error(c, text, ERR_IO); /* A name that no file system takes. */
}

static void the_data_directory_is_no_copy_directory(void **state)
{
    struct client *c = setup_table(state);
    const char *data = ((struct fixture *)*state)->directory;
    char text[300];
    set_copy_directory(*state, data);
    refused(c, "COPY t TO 'map/map'", "lies in the data directory");
    snprintf(text, sizeof(text), "%s/log", data);
    set_copy_directory(*state, text);
    refused(c, "COPY t FROM 'log.mdb'", "lies in the data directory");
    set_copy_directory(*state, "/tmp");
    snprintf(text, sizeof(text), "COPY t TO '%s/map/map'", data);
    refused(c, text, "into the data directory");
    set_copy_directory(*state, "relative");
    refused(c, "COPY t TO 'x.csv'", "absolute");
    set_copy_directory(*state, "/no/such/place");
    expect_error(c, "COPY t TO 'x.csv'", ERR_IO);
}

static void options_that_do_not_belong_are_refused(void **state)
{
    struct client *c = setup_table(state);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT npy)", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t FROM STDIN WITH (HEADER maybe)", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t FROM STDIN WITH (DELIMITER 'ab')", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t FROM STDIN WITH (START 3)", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT fbin, HEADER)", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT fbin, IDS 'x')", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t FROM STDIN WITH (FORMAT fbin, START 'x')", ERR_BAD_PARAMETER);
    expect_error(c, "COPY t (name, e) FROM STDIN WITH (FORMAT fbin)", ERR_FEATURE_UNSUPPORTED);
    expect_error(c, "COPY t (name) FROM STDIN", ERR_NOT_NULL);
    expect_error(c, "COPY t FROM STDIN WITH (formatt csv)", ERR_UNKNOWN_POLICY);
    expect_error(c, "COPY t FROM STDIN WITH (recall = 0.9)", ERR_POLICY_SCOPE);
    expect_error(c, "COPY t (id, id) FROM STDIN", ERR_DUPLICATE_COLUMN);
}

static void an_empty_collection_copies_out_to_nothing(void **state)
{
    struct client *c = setup_table(state);
    expect_ok(c, "COPY t TO STDOUT");
    assert_int_equal(c->copy.bytes, 0);
    assert_int_equal(run_copy(c, "COPY t FROM STDIN", "", 0, 1), ERR_OK);
    assert_int_equal(c->changed, 0);
}

/* Few enough to be begun on the owner's thread, and long enough to be too much for it. */
static void a_copy_out_of_long_rows_gives_every_row_once(void **state)
{
    enum {
        N = 1500,
        TEXT_BYTES = 20000
    };
    struct client *c = &((struct fixture *)*state)->client;
    struct buf csv;
    char text[TEXT_BYTES + 1];
    memset(text, 'x', TEXT_BYTES);
    text[TEXT_BYTES] = 0;
    expect_ok(c, "CREATE COLLECTION l (id INT PRIMARY KEY, t TEXT)");
    buf_init(&csv, MEM_GENERAL, 64 << 20);
    for (int i = 0; i < N; i++) {
        buf_printf(&csv, "%d,%s\n", i, text);
    }
    assert_int_equal(run_copy(c, "COPY l FROM STDIN", csv.data, csv.bytes, 1 << 20), ERR_OK);
    expect_ok(c, "COPY l TO STDOUT");
    assert_int_equal(c->changed, N);
    assert_int_equal(c->copy.bytes, csv.bytes);
    assert_memory_equal(c->copy.data, csv.data, csv.bytes);
    buf_fini(&csv);
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SERIAL_TEST(name) UNWATCHED_TEST(name, fixture_setup, fixture_teardown)
/* Rows that come behind the end of a collection are nobody's, and are not called written. */
static void rows_that_come_after_a_drop_are_refused(void **state)
{
    struct client *c = setup_table(state);
    struct bare bare = {0};
    struct err err = {0};
    struct prepared *prepared = bare_prepare(c, "COPY t FROM STDIN");
    struct portal *portal = bare_portal(c, prepared, &bare);
    assert_int_equal(portal_run(portal, 0, &err), PORTAL_COPY_IN);
    expect_ok(c, "DROP COLLECTION t");
    portal_copy_data(portal, "1,one,\n", 7);
    portal_copy_done(portal);
    enum portal_status status = portal_run(portal, 0, &err);
    for (unsigned waits = 0; status == PORTAL_WAIT; status = portal_run(portal, 0, &err)) {
        bare_wait(&bare, ++waits);
    }
    assert_int_equal(status, PORTAL_FAILED);
    assert_int_equal(err.code, ERR_UNKNOWN_COLLECTION);
    portal_free(portal);
    prepared_free(prepared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(csv_goes_in_and_comes_out_the_same),
        TEST(csv_takes_a_delimiter_and_a_null_text),
        TEST(a_bad_line_is_named_and_earlier_rows_are_counted),
        TEST(a_copy_that_failed_in_the_middle_can_be_run_again),
        TEST(on_conflict_decides_about_taken_keys),
        TEST(of_two_rows_of_one_key_the_later_one_counts),
        TEST(a_key_that_is_taken_is_named_with_its_line),
        TEST(a_key_that_is_taken_is_named_with_its_row_where_there_are_no_lines),
        TEST(of_several_errors_that_of_the_first_line_is_told),
        TEST(the_wrong_number_of_fields_is_an_error),
        TEST(a_header_says_which_columns_the_fields_are),
        TEST(a_tab_may_stand_between_fields),
        SERIAL_TEST(the_row_of_an_error_is_the_one_that_is_wrong),
        SERIAL_TEST(fbin_numbers_its_rows_and_comes_out_the_same),
        TEST(fbin_that_lies_about_itself_is_an_error),
        TEST(binary_rows_go_in_and_come_out_the_same),
        SERIAL_TEST(files_on_the_server_are_written_and_read),
        TEST(a_copy_out_that_fails_leaves_what_was_there),
        TEST(without_copy_directory_no_file_of_the_server_is_touched),
        TEST(no_name_leads_out_of_copy_directory),
        TEST(names_within_copy_directory_are_taken_as_they_are_written),
        TEST(the_data_directory_is_no_copy_directory),
        TEST(options_that_do_not_belong_are_refused),
        TEST(an_empty_collection_copies_out_to_nothing),
        TEST(rows_that_come_after_a_drop_are_refused),
        TEST(a_copy_out_of_long_rows_gives_every_row_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
