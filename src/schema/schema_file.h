/* A schema as a JSON file: a catalog without a database, for `check --before --after`.
 *
 *   {"schema_version": "1.0", "database": "shop",
 *    "tables": {"users": {
 *       "columns": {"id": {"type": "bigint", "nullable": false, "primary_key": true,
 *                          "length", "precision", "scale", "unique", "default",
 *                          "auto_increment", "comment"}},
 *       "constraints": {"primary_key": ["id"], "unique": ["email", ["a", "b"]],
 *                       "foreign_key": [{"columns": ["user_id"], "references": "users(id)",
 *                                        "on_delete": "CASCADE"}],
 *                       "check": ["email LIKE '%@%'"]},
 *       "indexes": [{"name": "i", "columns": ["email"], "unique": false}]}},
 *    "views": {}, "procedures": {}}
 *
 * A table named "app.users" is users in schema app; without a dot the schema is "". Members
 * that are not in this form are ignored, each with a note in the findings. */
#ifndef SCHEMA_SCHEMA_FILE_H
#define SCHEMA_SCHEMA_FILE_H

#include "base/err.h"
#include "schema/catalog.h"
#include "schema/finding.h"

#include <stdbool.h>

/* ERR_CONFIG, with file and position or path, when it is no JSON or not of this form. The
 * caller frees the catalog. */
bool schema_file_load(const char *path, struct catalog **catalog, struct findings *notes,
                      struct err *err);

#endif
