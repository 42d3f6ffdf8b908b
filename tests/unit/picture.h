/* A picture of a run in which all is well: every gate is GO. A test spoils one thing in it. */
#ifndef UNIT_PICTURE_H
#define UNIT_PICTURE_H

#include "base/mem.h"
#include "observe/gates.h"
#include "observe/status.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static inline struct table_status picture_table(const char *source, const char *target)
{
    return (struct table_status){
        .source = mem_string(source),
        .target = mem_string(target),
        .copy = COPY_DONE,
        .copied_rows = 1200,
        .copied_bytes = 98304,
        .estimated_rows = 1100,
        .estimated_bytes = 90000,
        .chunks = 3,
        .copy_share = 1,
        .received = 60,
        .applied = 50,
        .skipped_by_handoff = 10,
        .inserts = 30,
        .updates = 15,
        .deletes = 5,
    };
}

/* Two tables; the caller frees it by status_free(). */
static inline struct status picture_of_health(void)
{
    struct status status = {
        .version = "9.9.9",
        .migration = mem_string("shop"),
        .instance = mem_string("7f3a"),
        .phase = PHASE_STREAMING,
        .note = mem_string(""),
        .now = 1795228046 * USEC_PER_SEC,
        .now_monotonic = 5000 * USEC_PER_SEC,
        .started_at = (1795228046 - 600) * USEC_PER_SEC,
        .source_lsn = 0x16B374D848,
        .received_lsn = 0x16B374D840,
        .applied_lsn = 0x16B374D800,
        .flushed_lsn = 0x16B374D700,
        .spool = {.use = SPOOL_HOLDS,
                  .bytes = 5000000,
                  .segments = 2,
                  .unread = 7,
                  .cut = 4096,
                  .from = 0x16B374D700,
                  .to = 0x16B374D848,
                  .oldest = 90 * USEC_PER_SEC},
        .last_commit_at = 1795228045 * USEC_PER_SEC,
        .transactions = 40,
        .apply = {.batches_set = 5, .batches_ordered = 7, .fallbacks = 1, .rows_copied = 900},
        .changes = 120,
        .batches = 12,
        .bytes_received = 65536,
        .rows_per_second = 1204.5,
        .transactions_per_second = 312,
        .bytes_per_second = 1e6,
        .backfill_complete = true,
        .backfill_rows = 2400,
        .backfill_bytes = 196608,
        .backfill_estimated_rows = 2200,
        .backfill_share = 1,
        .pressure = {-1, -1, -1, -1},
        .lag = {.known = true,
                .bytes = 72,
                .time = 12000,
                .end_to_end = 18000,
                .end_to_end_known = true,
                .heartbeat_came = true,
                .eta = 0,
                .below_since = 4900 * USEC_PER_SEC},
        .source = {.known = true},
        .schema = {.known = true},
        .slot = {.known = true,
                 .wal_status = "reserved",
                 .active = true,
                 .safe_wal_size = -1,
                 .retained_bytes = 1 << 20,
                 .seconds_to_loss = -1},
        .transactions_open = {.known = true, .oldest_open = 1000},
        .limits = {.max_lag = USEC_PER_SEC,
                   .max_lag_bytes = 16 << 20,
                   .hold = 60 * USEC_PER_SEC,
                   .max_error_rate = 0.001,
                   .max_transaction = 300 * USEC_PER_SEC},
        .table_count = 2,
        .tables = mem_zero(2, sizeof(struct table_status)),
    };
    status.tables[0] = picture_table("public.users", "app.accounts");
    status.tables[1] = picture_table("public.orders", "app.orders");
    return status;
}

/* The gate of that name, after an evaluation. */
static inline const struct gate_status *picture_gate(const struct status *status,
                                                     const char *name)
{
    for (size_t i = 0; i < status->gate_count; i++)
        if (strcmp(status->gates[i].name, name) == 0)
            return &status->gates[i];
    ck_abort_msg("no gate %s", name);
    return NULL;
}

#endif
