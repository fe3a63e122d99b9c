/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ISTHMUS_READER_SQL_RUN_H
#define ISTHMUS_READER_SQL_RUN_H

#include "reader/sql/sql.h"

/* sql_run. Takes memory that only the end of the process gives back, and may be called once in one. */
int sql_run_query(const struct sql_world *world, const struct sql_query *query, int out);

#endif
