/* The kinds of findings: what is known of an id without looking at a database.
 *
 * One table, so that every id has a place in the order of scripts and a line of operations;
 * what each means stands in docs/check.md, and a test holds the two together. */
#ifndef SCHEMA_FINDING_KIND_H
#define SCHEMA_FINDING_KIND_H

/* Where a finding's statement runs. */
enum script_side { SCRIPT_SOURCE, SCRIPT_TARGET };

/* The order in which statements are safe to run: first what makes room, then what adds, then
 * what demands, and at the very end what destroys. */
enum script_phase {
    PHASE_SETTINGS,
    PHASE_UNCHAIN, /* foreign keys go before the keys that they lean on */
    PHASE_RELAX,
    PHASE_CREATE_TABLES,
    PHASE_ADD_COLUMNS,
    PHASE_CHANGE_COLUMNS,
    PHASE_INDEXES,
    PHASE_KEYS,
    PHASE_CONSTRAINTS,
    PHASE_TIGHTEN,
    PHASE_DROP_COLUMNS,
    PHASE_DROP_TABLES,
    PHASE_COUNT,
};

struct finding_kind {
    const char *id;
    enum script_side side;
    enum script_phase phase;
    const char *operations; /* whose outcome it touches: "INSERT, UPDATE"; "" if none */
};

/* NULL for an id that is not in the table. */
const struct finding_kind *finding_kind(const char *id);
/* The order's name for people: "add columns". Static. */
const char *script_phase_name(enum script_phase phase);

#endif
