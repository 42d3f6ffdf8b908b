/* The source's order of keys that only it knows (KEY_ASKED): it must be that by which the copy
 * was planned, or rows lie between other bounds than those that their chunks were read by. */
#ifndef POSTGRES_KEY_ORDER_H
#define POSTGRES_KEY_ORDER_H

#include "base/err.h"
#include "pipeline/table_copy.h"
#include "postgres/session.h"

/* Compares the versions of the libraries behind the key's collations with those that the run
 * began with, where these are known. A session keeps its libraries: once a session and key is
 * enough. ERR_CONFIG when one differs. */
bool key_order_check(struct session *source, const struct copy_key *key, struct err *err);
/* Says what to do when the source has refused (ERR_DATA) a key's value or bound as it was
 * written before: an enum's value by another name, money under another lc_monetary. Returns
 * false. */
bool key_order_refused(const struct copy_key *key, struct err *err);

#endif
