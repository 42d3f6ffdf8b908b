/* The contract of a lookup: a rule asks a database for the value that belongs to a key.
 *
 * What is asked is fixed before the run (a request, part of the bound rules); who asks is made
 * for each transform, and so belongs to one thread, with a connection and a cache of its own.
 *
 *   make -> find* -> destroy
 *
 * The answer is that of now, not of the moment when the row was written: the table looked up is
 * taken to hold still, or at least never to change the value of a key. */
#ifndef PIPELINE_LOOKUP_H
#define PIPELINE_LOOKUP_H

#include "base/arena.h"
#include "base/err.h"
#include "model/row.h"

#include <stddef.h>

enum lookup_side { LOOKUP_SOURCE, LOOKUP_TARGET };

/* Plain data, borrowed from the bound rules. */
struct lookup_request {
    enum lookup_side side;
    const char *sql;   /* one parameter, the key as text; one column, at most two rows matter */
    size_t cache;      /* keys to remember, the least lately used are forgotten; 0: none */
    const char *where; /* "file:line:column", for messages */
};

enum lookup_result {
    LOOKUP_FOUND,   /* *value is set, in the arena: VALUE_TEXT or VALUE_NULL */
    LOOKUP_MISSING, /* no row has the key, or the text is no value of the key's type */
    LOOKUP_FAILED, /* err: ERR_RETRY when the database is away, ERR_DATA when two rows match, or
                       the statement fails over what it reads */
};

struct lookup;

struct lookup_ops {
    enum lookup_result (*find)(struct lookup *lookup, const struct value *key,
                               struct arena *arena, struct value *value, struct err *err);
    void (*destroy)(struct lookup *lookup); /* frees; NULL is not passed */
};

struct lookup {
    const struct lookup_ops *ops;
};

/* Makes lookups; must outlive the transforms that use it. Connects when first asked. */
struct lookup_maker {
    struct lookup *(*make)(void *context, const struct lookup_request *request);
    void *context;
};

#endif
