/* SQL text from names and literals that others chose. Every identifier and every literal in a
 * statement of ours goes through here, quoted always, so that no name can be taken for SQL.
 *
 * Identifiers: "..." with doubled quotes, right for any name the server accepts. Literals:
 * '...' with doubled quotes, or E'...' with doubled backslashes where there is a backslash, so
 * that the result does not depend on standard_conforming_strings (as PQescapeLiteral does).
 * Bytes are passed as they are: the session's client_encoding is UTF8. */
#ifndef SCHEMA_IDENT_H
#define SCHEMA_IDENT_H

#include "base/buf.h"

#include <stddef.h>

/* "name" */
void ident_append(struct buf *buf, const char *name);
/* "schema"."name"; here and below an empty schema is left out: a name of a schema file. */
void ident_append_qualified(struct buf *buf, const char *schema, const char *name);
/* 'text' or E'te\\xt'; the text holds no NUL byte. */
void literal_append(struct buf *buf, const char *text, size_t size);

/* schema.name for people: quoted only where SQL needs it. The caller frees. */
char *ident_display(const char *schema, const char *name);

/* `"schema"."name"` as a string that the caller frees. */
char *ident_qualified(const char *schema, const char *name);

#endif
