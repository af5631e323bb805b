/* Whole programs: those that the project promises to compile, and the examples.
 * Whatever fails, they must end by themselves and free all memory of their own
 * and of the library.  Without a fault, they must print the expected output. */

#define _GNU_SOURCE

#include "programs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "simulator/sim_file.h"
#include "torture.h"

enum { ARGUMENTS_MAX = 8, OUTPUT_MAX = 4096, EXIT_INTERRUPTED = 130 };

#define gathered \
    "Task 1 started\nTask 2 started\nTask 1 completed\nTask 2 completed\n"
#define chained "Coroutine started\nCoroutine finished\n42\n"

static void raise_interrupt(void *arg)
{
    (void) arg;
    sim_raise(SIGINT);
}

static void interrupt_soon(void)
{
    sim_at(ALOOP_MS(500), raise_interrupt, NULL);
}

/* Standard outputs of a server: it may not wait for any of them. */

/* Reads the log now and then, and passes it on to the output of the test. */
static void read_log(void *arg)
{
    char text[100];
    size_t size = sim_standard_read(STDOUT_FILENO, text, sizeof text);

    (void) arg;
    fwrite(text, 1, size, stdout);
    sim_at(ALOOP_MS(70), read_log, NULL);
}

static void browse_slow_log(void)
{
    sim_standard_output(STDOUT_FILENO, NULL);
    read_log(NULL);
    torture_run_browsers();
}

static void browse_full_log(void)
{
    sim_standard_output(STDOUT_FILENO, NULL);
    sim_standard_fill(STDOUT_FILENO);
    torture_run_browsers();
}

static void browse_left_log(void)
{
    sim_standard_output(STDOUT_FILENO, NULL);
    sim_standard_leave(STDOUT_FILENO);
    torture_run_browsers();
}

static void browse_file_log(void)
{
    sim_file_put("/tmp/log", "", 0);
    sim_standard_output(STDOUT_FILENO, "/tmp/log");
    torture_run_browsers();
}

static const struct program {
    const char *name;
    int (*main_plain)(void); /* One of these two is set. */
    int (*main_argued)(int argc, char **argv);
    void (*outside)(void); /* Starts its peers; or NULL. */
    const char *arguments[ARGUMENTS_MAX];
    const char *prints[4]; /* Texts that its output must contain. */
    bool is_loop_left;     /* Exits early without freeing its loop. */
    bool is_interrupted;   /* Has an exit status for an interrupt. */
} programs[] = {
    {.name = "program_gather",
     .main_plain = program_gather_main,
     .prints = {gathered}},
    {.name = "program_chain",
     .main_plain = program_chain_main,
     .prints = {chained}},
    {.name = "program_deadline",
     .main_plain = program_deadline_main,
     .prints = {"slow ended: cancelled, and again: cancelled\n"
                "whole: timed out\nfirst: 7\n"}},
    {.name = "program_ask",
     .main_plain = program_ask_main,
     .prints = {"answer to one: ONE (asked again)\n"
                "answer to two: TWO (asked again)\n"
                "answer to three: THREE (asked again)\n"}},
    {.name = "program_embed",
     .main_plain = program_embed_main,
     .is_loop_left = true,
     .prints = {"tick\ntick\ntick\nhost done\n"}},
    {.name = "program_echo",
     .main_argued = program_echo_main,
     .outside = torture_run_clients_of_lossy_server,
     .arguments = {"7777"},
     .prints = {"1 open\n"}},
    {.name = "program_fetch",
     .main_argued = program_fetch_main,
     .outside = torture_serve_pages,
     .arguments = {"8080", "/one", "/gone", "/two"},
     .prints = {"/one: ", "\n\r\n/one\n", "404 Not Found", "/two: "}},
    {.name = "example_gather",
     .main_argued = example_gather_main,
     .prints = {gathered}},
    {.name = "example_chain",
     .main_argued = example_chain_main,
     .prints = {chained}},
    {.name = "example_resolve",
     .main_argued = example_resolve_main,
     .arguments = {"::1", "localhost", "10.0.0.1"},
     .prints = {"::1 ::1\n", "localhost 127.0.0.1\n", "10.0.0.1 10.0.0.1\n"}},
    {.name = "example_scrape",
     .main_argued = example_scrape_main,
     .arguments = {"-n", "2"},
     .prints = {"/one: 200, 20000 bytes", "/three: 200, 80000 bytes",
                "3 of 3 pages, 140000 bytes"}},
    {.name = "example_scrape_urls",
     .main_argued = example_scrape_main,
     .outside = torture_serve_pages,
     .arguments = {"-t", "5", "http://localhost:8080/one",
                   "http://127.0.0.1:8080/away"},
     .prints = {"/one: 200, 5 bytes", "/away: 200, 7 bytes",
                "2 of 2 pages, 12 bytes"}},
    {.name = "example_scrape_saved",
     .main_argued = example_scrape_main,
     .outside = torture_serve_pages,
     .arguments = {"-n", "1", "-o", "/tmp/pages", "http://localhost:8080/kept",
                   "http://localhost:8080/kept2"},
     .prints = {"/kept: 200, 6 bytes", "/kept2: 200, 7 bytes"}},
    {.name = "example_http_get",
     .main_argued = example_http_get_main,
     .outside = torture_serve_pages,
     .arguments = {"-c", "-o", "/tmp/page", "http://localhost:8080/kept"}},
    {.name = "example_scrape_interrupted",
     .main_argued = example_scrape_main,
     .outside = interrupt_soon,
     .is_interrupted = true,
     .arguments = {"-u"},
     .prints = {"interrupted: 0 of 3 pages, 0 bytes in 0.50 s\n"}},
    {.name = "example_chain_interrupted",
     .main_argued = example_chain_main,
     .outside = interrupt_soon,
     .is_interrupted = true,
     .prints = {"Coroutine started\n"}},
    {.name = "example_echo_server",
     .main_argued = example_echo_server_main,
     .outside = torture_run_clients,
     .arguments = {"-i", "10"},
     .prints = {"listening on 127.0.0.1 port 7777\n"}},
    {.name = "example_chat",
     .main_argued = example_chat_main,
     .outside = torture_run_talkers,
     .prints = {"listening on 127.0.0.1 port 7777\n"}},
    {.name = "example_http_server",
     .main_argued = example_http_server_main,
     .outside = torture_run_browsers,
     .arguments = {"-p", "7777"},
     .prints = {"listening on 127.0.0.1 port 7777\n"}},
    {.name = "example_http_server_slow",
     .main_argued = example_http_server_main,
     .outside = browse_slow_log,
     .arguments = {"-l", "-p", "7777"},
     .prints = {"\"POST /api/count\" 200 22 ", "\"GET /no-such-file\" 404 "}},
    {.name = "example_http_server_full",
     .main_argued = example_http_server_main,
     .outside = browse_full_log,
     .arguments = {"-l", "-p", "7777"},
     .prints = {"http_server: cannot write the log: timed out\n"}},
    {.name = "example_http_server_left",
     .main_argued = example_http_server_main,
     .outside = browse_left_log,
     .arguments = {"-l", "-p", "7777"},
     .prints = {"http_server: cannot write the log: broken pipe\n"}},
    {.name = "example_http_server_file",
     .main_argued = example_http_server_main,
     .outside = browse_file_log,
     .arguments = {"-l", "-p", "7777"},
     .prints = {"listening on 127.0.0.1 port 7777\n"}},
    {.name = "example_proxy",
     .main_argued = example_proxy_main,
     .outside = torture_run_clients_of_proxy,
     .arguments = {"-l", "7777", "localhost", "7"},
     .prints = {"listening on 127.0.0.1 port 7777\n", ": ended after ",
                ": 600 bytes to the target, 600 bytes back\n",
                ": failed after "}},
    {.name = "example_echo_client",
     .main_argued = example_echo_client_main,
     .outside = torture_serve_echo,
     .arguments = {"-c", "4", "-s", "700", "localhost", "7777"},
     .prints = {"4 messages, 2800 bytes"}},
    {.name = "example_echo_words",
     .main_argued = example_echo_client_main,
     .outside = torture_serve_echo,
     .arguments = {"127.0.0.1", "7777", "hello", "world"},
     .prints = {"hello\nworld\n2 messages, 12 bytes"}},
};

enum { PROGRAMS = sizeof programs / sizeof programs[0] };

/* The output of a program is written to a file without a name. */
static struct {
    int saved;
    FILE *file;
} output;

static void redirect(void)
{
    output.file = tmpfile();
    output.saved = dup(STDOUT_FILENO);
    torture_expect(output.file != NULL && output.saved >= 0,
                   "the test cannot open a file");
    fflush(stdout);
    torture_report_to(dup(STDERR_FILENO));
    dup2(fileno(output.file), STDOUT_FILENO);
    dup2(fileno(output.file), STDERR_FILENO);
}

static void check_output(const struct program *program)
{
    char text[OUTPUT_MAX];
    ssize_t n;

    fflush(stdout);
    n = pread(fileno(output.file), text, sizeof text - 1, 0);
    torture_expect(n > 0 || program->prints[0] == NULL, "prints nothing");
    text[n > 0 ? n : 0] = '\0';
    for (size_t i = 0; i < 4 && program->prints[i] != NULL; i++)
        if (strstr(text, program->prints[i]) == NULL) {
            torture_expect(write(output.saved, text, (size_t) n) == n, "");
            torture_expect(false, program->prints[i]);
        }
}

static ssize_t run_program(const struct program *program)
{
    char words[ARGUMENTS_MAX + 1][64];
    char *argv[ARGUMENTS_MAX + 2];
    int argc = 1, status;

    snprintf(words[0], sizeof words[0], "%s", program->name);
    for (; argc <= ARGUMENTS_MAX && program->arguments[argc - 1] != NULL;
         argc++)
        snprintf(words[argc], sizeof words[argc], "%s",
                 program->arguments[argc - 1]);
    for (int i = 0; i < argc; i++)
        argv[i] = words[i];
    argv[argc] = NULL;
    if (program->outside != NULL)
        program->outside();
    redirect();
    status = program->main_plain != NULL ? program->main_plain()
                                         : program->main_argued(argc, argv);
    if (program->is_interrupted && status == EXIT_INTERRUPTED)
        status = 0;
    torture_expect(status >= 0 && status <= 2,
                   "exits with an unexpected status");
    if (program->is_loop_left && status != 0)
        torture_leave_memory();
    if (torture_is_rehearsal())
        check_output(program);
    return status == 0 ? 0 : ALOOP_ENOMEM;
}

ssize_t torture_program(const char *name)
{
    for (size_t i = 0; i < PROGRAMS; i++)
        if (strcmp(programs[i].name, name) == 0)
            return run_program(&programs[i]);
    torture_expect(false, "unknown program");
    return 0;
}

/* Polls for a host.  A host without a descriptor polls again for a while, and a
 * host without an alarm is woken a little late, because the program has no
 * other way to continue after a failure. */
int torture_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    static unsigned refusals;
    bool is_ready;

    torture_expect(count == 1 && timeout_ms < 0,
                   "polls with unexpected arguments");
    if (fds->fd < 0 && ++refusals > 100)
        _exit(0);
    if (fds->fd < 0)
        return 0;
    is_ready = sim_poll(fds->fd, ALOOP_SEC(2));
    torture_expect(is_ready || !torture_is_rehearsal(),
                   "the loop's descriptor is not readable");
    return 1;
}
