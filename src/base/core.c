/* Core dumps (core.h). A limit of 0 does not reach handlers that the kernel pipes a core to;
 * not being dumpable does. */
#include "base/core.h"

#include <sys/prctl.h>

void core_forbid(void)
{
#ifdef NDEBUG
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}
