/* A type reader (pipeline/type_reader.h) over two sessions. Answers are remembered: the tables of a
 * pattern ask the same. One thread. */
#ifndef POSTGRES_TYPE_READER_H
#define POSTGRES_TYPE_READER_H

#include "pipeline/type_reader.h"
#include "postgres/session.h"

struct pg_type_reader;

/* The sessions are borrowed. */
struct pg_type_reader *pg_type_reader_create(struct session *source, struct session *target);
void pg_type_reader_destroy(struct pg_type_reader *reader); /* NULL is accepted */
/* Lives as long as the reader. */
const struct type_reader *pg_type_reader_contract(const struct pg_type_reader *reader);

#endif
