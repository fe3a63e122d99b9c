/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/sheet.h"

#include <stdio.h>
#include <string.h>

static void put_escaped(const char *text, enum client_form form)
{
    for (; *text; text++) {
        const char *instead = form == FORM_MARKDOWN ? (*text == '|' ? "\\|" : NULL)
                              : *text == '<'        ? "&lt;"
                              : *text == '>'        ? "&gt;"
                              : *text == '&'        ? "&amp;"
                                                    : NULL;
        if (instead) {
            fputs(instead, stdout);
        } else {
            putchar(*text == '\n' ? ' ' : *text);
        }
    }
}

void sheet_begin(const struct client *c, const char *title)
{
    if (c->form == FORM_HTML) {
        fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", stdout);
        put_escaped(title, c->form);
        fputs(
            "</title>\n<style>body{font:15px/1.5 sans-serif;max-width:70em;margin:2em "
            "auto;padding:0 1em}"
            "table{border-collapse:collapse}td,th{border-bottom:1px solid #bbb;padding:.25em .8em;"
            "text-align:left}</style></head>\n<body><h1>",
            stdout);
        put_escaped(title, c->form);
        fputs("</h1>\n", stdout);
    } else {
        printf("%s%s\n\n", c->form == FORM_MARKDOWN ? "# " : "", title);
    }
}

void sheet_heading(const struct client *c, const char *text)
{
    static const char *const before[] = {
        [FORM_TEXT] = "", [FORM_MARKDOWN] = "## ", [FORM_HTML] = "<h2>"};
    static const char *const after[] = {
        [FORM_TEXT] = "", [FORM_MARKDOWN] = "\n", [FORM_HTML] = "</h2>"};
    printf("%s%s%s\n", before[c->form], text, after[c->form]);
}

void sheet_paragraph(const struct client *c, const char *text)
{
    fputs(c->form == FORM_HTML ? "<p>" : "", stdout);
    put_escaped(text, c->form);
    fputs(c->form == FORM_HTML ? "</p>\n" : "\n\n", stdout);
}

static void put_row(const struct client *c, const struct table *t, size_t row)
{
    bool html = c->form == FORM_HTML;
    const char *cell = row ? "td" : "th";
    fputs(html ? "<tr>" : "|", stdout);
    for (int i = 0; i < t->columns; i++) {
        const char *text = t->cells[row][i] ? t->cells[row][i] : "";
        printf(html ? "<%s>" : " ", cell);
        put_escaped(text, c->form);
        printf(html ? "</%s>" : " |", cell);
    }
    fputs(html ? "</tr>\n" : "\n", stdout);
}

void sheet_table(const struct client *c, struct table *t)
{
    if (c->form == FORM_TEXT) {
        table_print(t, c->colour);
        putchar('\n');
        return;
    }
    fputs(c->form == FORM_HTML ? "<table>\n" : "", stdout);
    for (size_t row = 0; row < t->rows; row++) {
        put_row(c, t, row);
        for (int i = 0; i < t->columns && row == 0 && c->form == FORM_MARKDOWN; i++) {
            fputs(i + 1 < t->columns ? "|---" : "|---|\n", stdout);
        }
    }
    fputs(c->form == FORM_HTML ? "</table>\n" : "\n", stdout);
    table_free(t);
}

void sheet_end(const struct client *c)
{
    fputs(c->form == FORM_HTML ? "</body></html>\n" : "", stdout);
}
