/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/sql/run.h"

__attribute__((visibility("default"))) sql_run isthmus_sql;

int isthmus_sql(const struct sql_world *world, const struct sql_query *query, int out)
{
    return sql_run_query(world, query, out);
}
