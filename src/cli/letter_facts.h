/* What parking must know of a bound migration: by which columns rows are known, and how letters
 * are written. Borrows from the migration. */
#ifndef CLI_LETTER_FACTS_H
#define CLI_LETTER_FACTS_H

#include "cli/migration.h"
#include "postgres/dead_letter.h"

struct letter_facts {
    struct dead_letter_config config;
    const struct catalog_table **tables; /* by source index, as the next */
    struct parked_identity *identities;
};

void letter_facts_make(const struct migration *migration, struct letter_facts *facts);
void letter_facts_free(struct letter_facts *facts); /* zeroed ones are accepted */

#endif
