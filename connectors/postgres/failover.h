/* Has a standby of the source, promoted, all that the target has?
 *
 *     timeline 1  ------------- applied ------- S        what the old primary wrote behind S is
 * lost timeline 2                                 `-----  and must not be at the target
 *
 * S is where the new timeline branched off. With applied <= S the target is a prefix of the new
 * timeline too. That the slot is there, and not ahead, is left to continuity.h. */
#ifndef POSTGRES_FAILOVER_H
#define POSTGRES_FAILOVER_H

#include "base/err.h"
#include "base/stop.h"
#include "model/lsn.h"

#include <stdint.h>

/* Where timeline `from` ended in the history of timeline `now`, which the source's server
 * keeps; LSN_NONE in *end when it is no part of that. */
bool failover_branch(const char *dsn, const struct stop *stop, uint32_t from, uint32_t now,
                     lsn_t *end, struct err *err);

#endif
