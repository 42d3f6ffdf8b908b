/* The source's values as its text, and back: what stands in a dead letter for people and for any
 * later rules, of values that the stream brought in binary. Types that we know are turned here;
 * of the others the source is asked, in a session of its own, which is opened when first needed.
 * One thread. */
#ifndef POSTGRES_VALUE_TEXTS_H
#define POSTGRES_VALUE_TEXTS_H

#include "base/arena.h"
#include "model/relation.h"
#include "model/row.h"
#include "postgres/session.h"
#include "schema/catalog.h"

struct value_texts {
    const char *dsn;
    const struct catalog *source;
    const struct stop *stop;
    struct session session;
};

void value_texts_close(struct value_texts *texts);

/* The row with text in place of binary; all else as it is. In the arena, or borrowed. */
bool value_texts_of(struct value_texts *texts, const struct relation *relation,
                    const struct row *row, struct arena *arena, struct row *out,
                    struct err *err);
/* A text as a binary stream brings it: in binary, where its type has such a form. */
bool value_texts_wire(struct value_texts *texts, uint32_t type, const char *text,
                      struct arena *arena, struct value *out, struct err *err);

#endif
