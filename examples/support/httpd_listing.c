#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#define _NETBSD_SOURCE /* For dirfd(). */

#include "httpd_listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = 10000 }; /* In a listing. */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Reads the names of a directory.  Returns their number or an error. */
static int read_names(DIR *directory, char *names[NAMES_MAX])
{
    const struct dirent *entry;
    int count = 0;

    while (count < NAMES_MAX && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        names[count] = strdup(entry->d_name);
        if (names[count] == NULL)
            break;
        count++;
    }
    return count;
}

/* "./" keeps a name with a colon from being a URL of its own. */
static void add_name(struct httpd_text *page, const char *name, bool is_folder)
{
    httpd_text_string(page, "<li><a href=\"./");
    httpd_text_url(page, name);
    httpd_text_string(page, is_folder ? "/\">" : "\">");
    httpd_text_html(page, name);
    httpd_text_string(page, is_folder ? "/</a>\n" : "</a>\n");
}

static void write_page(struct httpd_text *page, const char *title,
                       DIR *directory, char **names, int count)
{
    httpd_text_string(page, "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n"
                            "<title>");
    httpd_text_html(page, title);
    httpd_text_string(page, "</title>\n<h1>");
    httpd_text_html(page, title);
    httpd_text_string(page, "</h1>\n<ul>\n<li><a href=\"../\">../</a>\n");
    for (int i = 0; i < count; i++) {
        struct stat stat;
        bool is_folder = fstatat(dirfd(directory), names[i], &stat, 0) == 0 &&
                         S_ISDIR(stat.st_mode);

        add_name(page, names[i], is_folder);
    }
    httpd_text_string(page, "</ul>\n");
}

ssize_t httpd_listing_write(int fd, const char *title, bool is_allowed,
                            struct httpd_text *page)
{
    DIR *directory = fdopendir(fd);
    char **names;
    int count;

    if (directory == NULL) {
        close(fd);
        return -ENOTDIR;
    }
    names = is_allowed ? malloc(NAMES_MAX * sizeof *names) : NULL;
    if (names == NULL) {
        closedir(directory);
        return is_allowed ? -ENOMEM : -EACCES;
    }
    count = read_names(directory, names);
    qsort(names, (size_t) count, sizeof *names, compare_names);
    write_page(page, title, directory, names, count);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    closedir(directory);
    return page->has_failed ? -ENOMEM : 0;
}
