/* The configuration of a run: from a YAML file, the command line and the environment, in
 * rising order of weight for the DSNs: file, SLACKWATER_SOURCE/TARGET, --source/--target. */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/yaml.h"
#include "cli/options.h"

#include <stdbool.h>
#include <stdint.h>

enum copy_order { COPY_LARGEST_FIRST, COPY_PARENTS_FIRST };

enum new_column { NEW_COLUMN_CARRY, NEW_COLUMN_IGNORE, NEW_COLUMN_STOP };

enum apply_engine { APPLY_AUTO, APPLY_ORDERED, APPLY_SET };

enum bad_row { BAD_ROW_STOP, BAD_ROW_QUARANTINE };

struct config {
    char *migration;
    char *source_dsn;
    char *target_dsn;
    usec_t heartbeat;
    bool streaming;            /* large transactions come while they are open */
    bool two_phase;            /* prepared ones before they are committed */
    char *temporary_directory; /* for both */
    bool failover;             /* standbys of the source keep the slot */
    bool local_only;           /* leave out what came to the source by another replication */
    int backfill_workers;
    int64_t chunk_rows; /* of a lane's first chunk */
    usec_t chunk_time;  /* that a chunk should take */
    enum copy_order backfill_order;
    int64_t max_rows_per_second; /* of the copy; 0: no limit, as the next four */
    int64_t max_bytes_per_second;
    usec_t max_replica_lag;
    usec_t max_target_latency;
    int64_t max_source_load; /* active sessions at the source beside ours */
    bool defer_indexes;
    enum apply_engine engine;
    enum bad_row on_bad_row;
    double max_bad_share;          /* of a table's rows; 1: all may be bad */
    int64_t min_bad_changes;       /* fewer tell nothing of a share */
    enum new_column on_new_column; /* of a source table, in mid-migration */
    char *spool_dir;               /* NULL: no spool */
    int64_t spool_max_bytes;
    int64_t spool_min_free; /* to be left on its disk */
    char *http_listen;
    usec_t max_lag;
    int64_t max_lag_bytes;
    usec_t hold;
    double max_error_rate;
    usec_t max_transaction;
    struct yaml_node *root;         /* owned; NULL without a file */
    const struct yaml_node *tables; /* of root; NULL: every table */
};

/* ERR_CONFIG with file:line:column on anything wrong. DSNs may still be missing: commands ask
 * for what they need. */
bool config_load(const struct options *options, struct config *config, struct err *err);
void config_free(struct config *config);

/* ERR_CONFIG naming how to give it, unless the DSN is there. */
bool config_need_source(const struct config *config, struct err *err);
bool config_need_target(const struct config *config, struct err *err);

#endif
