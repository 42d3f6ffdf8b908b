/* A comparison under way: what the files of compare.h share. */
#ifndef SCHEMA_COMPARISON_H
#define SCHEMA_COMPARISON_H

#include "base/arena.h"
#include "base/buf.h"
#include "schema/compare.h"
#include "schema/index_text.h"

#include <stdbool.h>

struct comparison {
    const struct catalog *before;
    const struct catalog *after;
    const struct table_pair *pairs;
    size_t pair_count;
    bool carried; /* rows go from before to after by rules that are bound already */
    struct findings *findings;
    struct arena arena; /* texts until the findings have copied them */
};

/* ---- comparison.c: words and statements ---- */

const char *compare_say(struct comparison *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Moves the buffer's text into the arena. */
const char *compare_take(struct comparison *c, struct buf *text);
/* The same for a string of its own. */
const char *compare_keep(struct comparison *c, char *text);
const char *compare_table_text(struct comparison *c, const struct catalog_table *table);
/* "users.email" */
const char *compare_column_text(struct comparison *c, const struct catalog_table *table,
                                const struct catalog_column *column);
const char *compare_table_sql(struct comparison *c, const struct catalog_table *table);
const char *compare_ident(struct comparison *c, const char *name);
/* "a, b" for people, or quoted. */
const char *compare_columns_text(struct comparison *c, const struct catalog_table *table,
                                 const uint16_t *columns, uint16_t count);
const char *compare_columns_sql(struct comparison *c, const struct catalog_table *table,
                                const uint16_t *columns, uint16_t count);
/* "id" bigint DEFAULT 1 NOT NULL, as in CREATE TABLE. */
const char *compare_column_definition(struct comparison *c,
                                      const struct catalog_column *column);

/* The column of after that holds this column of before as it is, or -1. */
int compare_image(const struct table_pair *pair, int before_column);
/* The pair that makes this table of after, NULL when there is none. */
const struct table_pair *compare_pair_of(const struct comparison *c, const char *schema,
                                         const char *name);

/* The pair's rows hold this column of after as it will be. */
bool compare_is_said(const struct table_pair *pair, uint16_t column);
/* The expression, as the server prints it, reads this column of the table. */
bool compare_reads(const struct catalog_table *table, uint16_t column, const char *expression);
/* What stands after FROM to get the columns that an index's or exclusion constraint's text reads,
 * of all rows that go to the table; NULL when some pair does not make one of them. */
const char *compare_rows_of_text(struct comparison *c, const struct catalog_table *table,
                                 const struct index_text *index);
/* Several pairs make this table. */
bool compare_is_merged(const struct comparison *c, const struct catalog_table *table);
/* What stands after FROM to get these columns of all rows that go to the table, of whichever
 * pair: NULL when some pair does not make one of them. */
const char *compare_rows_of(struct comparison *c, const struct catalog_table *table,
                            const uint16_t *columns, uint16_t count);

/* Two expressions say the same: blanks, case of words and outer parentheses do not count. With
 * a pair, the first speaks of before's columns and the second of after's. */
bool compare_same_expression(const struct table_pair *pair, const char *before,
                             const char *after);

/* ---- one noun a file ---- */

void compare_tables(struct comparison *c); /* compare_tables.c: added, removed */
void compare_inheritance(struct comparison *c, const struct table_pair *pair); /* the same */
void compare_new_table(struct comparison *c, const struct catalog_table *table);
void compare_columns(struct comparison *c, const struct table_pair *pair);
void compare_keys(struct comparison *c, const struct table_pair *pair);
void compare_indexes(struct comparison *c, const struct table_pair *pair);
void compare_foreign_keys(struct comparison *c, const struct table_pair *pair);
void compare_constraints(struct comparison *c, const struct table_pair *pair);
void compare_objects(struct comparison *c);   /* views and procedures of files */
void compare_databases(struct comparison *c); /* encoding, collation, extensions, sequences */

/* ADD CONSTRAINT ... for the statement of a new table's or a new foreign key. */
const char *compare_foreign_key_sql(struct comparison *c, const struct catalog_table *table,
                                    const struct catalog_foreign_key *key);
const char *compare_index_sql(struct comparison *c, const struct catalog_table *table,
                              const struct catalog_index *index);

#endif
