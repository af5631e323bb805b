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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_found_by_path),
        TEST(a_path_that_leads_nowhere_gives_null),
        TEST(a_name_may_have_255_bytes),
        TEST(a_document_may_be_a_single_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
