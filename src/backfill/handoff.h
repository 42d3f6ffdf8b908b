/* The handoff from copy to stream, by visibility.
 *
 * Each table was copied under a snapshot S, and the stream begins before every S. So a streamed
 * change is in the copy exactly if its transaction is visible in S; then it is dropped, else
 * applied. Nothing is guessed from times or positions, and tables may be copied at different
 * moments. A table is done when the stream has passed the position of its S; the whole when the
 * last table is.
 *
 * Owned by the composition root; judged by the apply thread; completion may be read by any. */
#ifndef BACKFILL_HANDOFF_H
#define BACKFILL_HANDOFF_H

#include "base/err.h"
#include "pipeline/handoff.h"
#include "pipeline/table_copy.h"

struct table_handoff;

/* records: by table index, all done; copied. A record without snapshot (--no-backfill) drops
 * nothing. */
bool handoff_create(const struct copy_record *records, size_t count,
                    struct table_handoff **handoff, struct err *err);
void handoff_destroy(struct table_handoff *handoff); /* NULL is accepted */

/* The contract the apply loop calls; lives as long as the handoff. */
struct handoff *handoff_contract(struct table_handoff *handoff);
/* True when the stream has passed every table's snapshot. Any thread. */
bool handoff_is_complete(const struct table_handoff *handoff);

#endif
