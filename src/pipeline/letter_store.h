/* The contract of where dead letters are kept, as far as the stream needs it. What goes into a
 * batch's transaction the sink writes itself. Used by the apply thread. */
#ifndef PIPELINE_LETTER_STORE_H
#define PIPELINE_LETTER_STORE_H

#include "pipeline/quarantine.h"

struct letter_store;

struct letter_store_ops {
    /* Fills the quarantine with what is there. */
    bool (*load)(struct letter_store *store, struct quarantine *quarantine, struct err *err);
    /* Keeps how a table's breaker is, for the run that comes after. */
    bool (*keep_breaker)(struct letter_store *store, uint32_t table, enum breaker_state state,
                         const char *reason, struct err *err);
    void (*destroy)(struct letter_store *store);
};

struct letter_store {
    const struct letter_store_ops *ops;
};

#endif
