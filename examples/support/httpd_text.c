/* Texts that grow, and the escaping of names in them. */

#include "httpd_text.h"

#include <stdlib.h>
#include <string.h>

void httpd_text_add(struct httpd_text *text, const char *data, size_t size)
{
    if (text->has_failed)
        return;
    if (size > text->room - text->size) {
        size_t room = 2 * text->room + size + 256;
        char *grown = realloc(text->data, room);

        if (grown == NULL) {
            text->has_failed = true;
            return;
        }
        text->data = grown;
        text->room = room;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

void httpd_text_string(struct httpd_text *text, const char *string)
{
    httpd_text_add(text, string, strlen(string));
}

void httpd_text_html(struct httpd_text *text, const char *name)
{
    static const struct {
        char c;
        const char *escaped;
    } escapes[] = {{'<', "&lt;"},
                   {'>', "&gt;"},
                   {'&', "&amp;"},
                   {'"', "&quot;"},
                   {'\'', "&#39;"}};

    for (; *name != '\0'; name++) {
        const char *escaped = NULL;

        for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++)
            if (escapes[i].c == *name)
                escaped = escapes[i].escaped;
        if ((unsigned char) *name < ' ' || *name == 0x7f)
            escaped = "&#xfffd;";
        if (escaped != NULL)
            httpd_text_string(text, escaped);
        else
            httpd_text_add(text, name, 1);
    }
}

void httpd_text_url(struct httpd_text *text, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    static const char digits[] = "0123456789ABCDEF";

    for (; *path != '\0'; path++) {
        unsigned char c = (unsigned char) *path;
        char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};

        if (strchr(plain, *path) != NULL)
            httpd_text_add(text, path, 1);
        else
            httpd_text_add(text, escaped, sizeof escaped);
    }
}

void httpd_text_log(struct httpd_text *text, const char *string)
{
    static const char digits[] = "0123456789abcdef";

    for (; *string != '\0'; string++) {
        unsigned char c = (unsigned char) *string;
        char escaped[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};

        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            httpd_text_add(text, string, 1);
        else
            httpd_text_add(text, escaped, sizeof escaped);
    }
}
