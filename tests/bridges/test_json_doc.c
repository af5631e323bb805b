/* The bridge to jansson, on the real system. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aloop.h"
#include "bridges/json_doc.h"

enum { LONG = 100000 };

static struct {
    aloop *loop;
    json_t *document;
    json_error_t error;
    const char *text; /* For a task. */
    size_t size;
} f;

static int set_up(void **state)
{
    (void) state;
    memset(&f, 0, sizeof f);
    f.loop = aloop_new(NULL);
    return f.loop == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void) state;
    json_decref(f.document);
    return aloop_free(f.loop) < 0 ? -1 : 0;
}

static ssize_t parse_bytes(const char *text, size_t size)
{
    json_decref(f.document);
    return json_doc_parse(f.loop, text, size, &f.document, &f.error);
}

static ssize_t parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

/* Parses `levels` arrays inside each other. */
static ssize_t parse_levels(size_t levels)
{
    char text[2 * JSON_DOC_DEPTH_MAX + 8];

    memset(text, '[', levels);
    memset(text + levels, ']', levels);
    return parse_bytes(text, 2 * levels);
}

static void assert_field(const char *path, const char *expected)
{
    json_t *value = json_doc_field(f.document, path);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_no_field(const char *path)
{
    assert_null(json_doc_field(f.document, path));
}

static void fields_are_found_by_path(void **state)
{
    (void) state;
    assert_int_equal(parse("{\"user\": {\"name\": \"Ann\", \"age\": null},"
                           " \"items\": [10, {\"id\": 7}], \"\": {\"\": 1},"
                           " \"a.b\": 2, \"c\\\\\": 3, \"4\": 4}"),
                     0);
    assert_field("user.name", "\"Ann\"");
    assert_field("user.age", "null");
    assert_field("items", "[10,{\"id\":7}]");
    assert_field("items.0", "10");
    assert_field("items.1.id", "7");
    assert_field("", "{\"\":1}");
    assert_field(".", "1");
    assert_field("a\\.b", "2");
    assert_field("c\\\\", "3");
    assert_field("c\\", "3"); /* A last backslash stands for itself. */
    assert_field("4", "4");
}

static void a_path_that_leads_nowhere_gives_null(void **state)
{
    char name[300];

    (void) state;
    memset(name, 'n', sizeof name);
    name[256] = '\0'; /* One more than the longest name. */
    assert_int_equal(parse("{\"items\": [10, 20], \"a\": 1}"), 0);
    assert_no_field("b");
    assert_no_field("A");
    assert_no_field("a.b");
    assert_no_field("a.");
    assert_no_field("items.2");
    assert_no_field("items.-1");
    assert_no_field("items.+1");
    assert_no_field("items. 1");
    assert_no_field("items.1x");
    assert_no_field("items.");
    assert_no_field("items.18446744073709551616");
    assert_no_field("items.99999999999999999999999");
    assert_no_field(name);
}

static void a_name_may_have_255_bytes(void **state)
{
    char text[300], name[256];

    (void) state;
    memset(name, 'n', 255);
    name[255] = '\0';
    snprintf(text, sizeof text, "{\"%s\": 1}", name);
    assert_int_equal(parse(text), 0);
    assert_field(name, "1");
}

static void a_document_may_be_a_single_value(void **state)
{
    (void) state;
    assert_int_equal(parse(" 9007199254740993 "), 0);
    assert_true(json_integer_value(f.document) == INT64_C(9007199254740993));
    assert_no_field("");
}

static void malformed_documents_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "]",
        "[1,]",
        "{\"a\": 1,}",
        "{} x",
        "[1] [2]",
        "// comment\n1",
        "[01]",
        "[NaN]",
        "{'a': 1}",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "18446744073709551616",
        "1e999",
        "\"\n\"",
        "\xef\xbb\xbf{}",
    };

    (void) state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse(texts[i]), ALOOP_EPROTO);
        assert_null(f.document);
        assert_true(f.error.line >= 1);
        assert_true(f.error.text[0] != '\0');
    }
}

/* Otherwise what follows it would be ignored. */
static void a_zero_byte_is_refused(void **state)
{
    (void) state;
    assert_int_equal(parse_bytes("1\0", 2), ALOOP_EPROTO);
    assert_int_equal(parse_bytes("[]\0x", 4), ALOOP_EPROTO);
    assert_int_equal(parse_bytes("[\0]", 3), ALOOP_EPROTO);
    assert_null(f.document);
    assert_string_equal(f.error.text, "it has a zero byte");
}

static void the_place_of_a_fault_is_reported(void **state)
{
    (void) state;
    assert_int_equal(parse("{\"a\": 1,\n \"b\" 2}"), ALOOP_EPROTO);
    assert_int_equal(f.error.line, 2);
    assert_int_equal(f.error.column, 6);
}

static void the_message_has_no_control_characters(void **state)
{
    (void) state;
    assert_int_equal(parse("{\"a\": \033[2J}"), ALOOP_EPROTO);
    assert_null(strchr(f.error.text, '\033'));
    assert_non_null(strchr(f.error.text, '?'));
}

static void more_than_128_levels_are_refused(void **state)
{
    (void) state;
    assert_int_equal(parse_levels(JSON_DOC_DEPTH_MAX), 0);
    assert_int_equal(parse_levels(JSON_DOC_DEPTH_MAX + 1), ALOOP_EPROTO);
    assert_null(f.document);
    assert_string_equal(f.error.text, "it has too many levels");
}

/* Brackets in strings are no levels, and neither are those that have ended. */
static void only_levels_are_counted(void **state)
{
    static char text[4 * LONG];
    size_t size = 0;

    (void) state;
    text[size++] = '[';
    for (int i = 0; i < 2 * JSON_DOC_DEPTH_MAX; i++) {
        memcpy(text + size, "[{\"[{\\\"[{\": 1}],", 16);
        size += 16;
    }
    text[size++] = '1';
    text[size++] = ']';
    assert_int_equal(parse_bytes(text, size), 0);
    assert_int_equal(json_array_size(f.document), 2 * JSON_DOC_DEPTH_MAX + 1);
}

/* Makes a string of LONG bytes, which a thread parses. */
static void make_long(void)
{
    char *text = malloc(LONG + 2);

    assert_non_null(text);
    memset(text, 'x', LONG + 2);
    text[0] = text[LONG + 1] = '"';
    f.text = text;
    f.size = LONG + 2;
}

static ssize_t long_parse(aloop *loop, void *arg)
{
    (void) loop;
    (void) arg;
    return parse_bytes(f.text, f.size);
}

static void a_long_document_is_parsed_while_the_loop_runs(void **state)
{
    (void) state;
    make_long();
    assert_int_equal(aloop_await(aloop_spawn(f.loop, long_parse, NULL)), 0);
    assert_int_equal(json_string_length(f.document), LONG);
    free((void *) (uintptr_t) f.text);
}

static ssize_t cancelled_parse(aloop *loop, void *arg)
{
    (void) loop;
    aloop_cancel(*(aloop_future **) arg);
    return parse_bytes(f.text, f.size);
}

static void a_cancelled_task_gets_no_long_document(void **state)
{
    aloop_future *task = NULL;

    (void) state;
    make_long();
    task = aloop_spawn(f.loop, cancelled_parse, &task);
    assert_int_equal(aloop_await(aloop_future_ref(task)), ALOOP_EABORTED);
    assert_null(f.document);
    aloop_future_unref(task);
    free((void *) (uintptr_t) f.text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_found_by_path),
        TEST(a_path_that_leads_nowhere_gives_null),
        TEST(a_name_may_have_255_bytes),
        TEST(a_document_may_be_a_single_value),
        TEST(malformed_documents_are_refused),
        TEST(a_zero_byte_is_refused),
        TEST(the_place_of_a_fault_is_reported),
        TEST(the_message_has_no_control_characters),
        TEST(more_than_128_levels_are_refused),
        TEST(only_levels_are_counted),
        TEST(a_long_document_is_parsed_while_the_loop_runs),
        TEST(a_cancelled_task_gets_no_long_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
