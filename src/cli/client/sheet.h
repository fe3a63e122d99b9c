/* SPDX-License-Identifier: Apache-2.0 */
/* A sheet of paper to hand round: a title, headings, paragraphs and tables, as text, Markdown or one file of HTML. */
#ifndef ISTHMUS_CLI_CLIENT_SHEET_H
#define ISTHMUS_CLI_CLIENT_SHEET_H

#include "cli/client/client.h"

void sheet_begin(const struct client *c, const char *title);
void sheet_heading(const struct client *c, const char *text);
void sheet_paragraph(const struct client *c, const char *text);
void sheet_table(const struct client *c, struct table *t); /* and frees it */
void sheet_end(const struct client *c);

#endif
