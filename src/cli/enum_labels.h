/* Labels that enums of the source have and those of the target lack. */
#ifndef CLI_ENUM_LABELS_H
#define CLI_ENUM_LABELS_H

#include "base/err.h"
#include "cli/migration.h"

/* Whether a value was refused that may be such a label. */
bool enum_labels_may_lack(const struct err *err);
/* Then: asks both sides anew, and the remedy names the statement that adds the first one that is
 * missing. */
void enum_labels_advise(const struct migration *migration, struct err *err);

#endif
