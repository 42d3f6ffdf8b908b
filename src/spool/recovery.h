/* What of a folder's files is the spool. For spool.c. */
#ifndef SPOOL_RECOVERY_H
#define SPOOL_RECOVERY_H

#include "spool/segment.h"

struct segments {          /* ascending, each follows on the one before */
    struct segment *items; /* owned */
    size_t count;
};

/* Reads all, and removes and cuts off what does not count: *cut bytes. */
bool recover(const struct folder *folder, const struct spool_identity *identity, lsn_t applied,
             struct segments *segments, uint64_t *cut, struct err *err);
/* Cuts off what is at or behind `offset` of a segment. */
bool recover_cut(const struct folder *folder, const struct spool_identity *identity,
                 struct segments *segments, uint64_t number, uint64_t offset, struct err *err);
/* Cuts off the beginning of a transaction that has no end. */
bool recover_close(const struct folder *folder, struct segments *segments, struct err *err);

#endif
