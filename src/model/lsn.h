/* A log sequence number: a byte position in the source's WAL. The identity of a commit (xids
 * wrap, LSNs do not). 0 is "none" (InvalidXLogRecPtr). */
#ifndef MODEL_LSN_H
#define MODEL_LSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t lsn_t;
typedef uint32_t xid_t;   /* 32 bits, wraps: as in WAL and pgoutput */
typedef uint64_t xid64_t; /* with epoch: as in pg_snapshot */

#define LSN_NONE ((lsn_t)0)
#define LSN_TEXT_SIZE 20

/* "16/B374D848"; text has at least LSN_TEXT_SIZE bytes. Returns text. */
char *lsn_format(lsn_t lsn, char *text);
/* False unless the whole text is a valid LSN. */
bool lsn_parse(const char *text, lsn_t *lsn);

#endif
