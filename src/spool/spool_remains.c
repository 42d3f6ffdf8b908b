/* What lies in a spool's folder that nobody has open (spool.h). */
#include "spool/spool.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool open_to_look(const char *path, struct folder *folder)
{
    *folder = (struct folder){.path = mem_string(path)};
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd >= 0;
}

bool spool_holds_text(const char *path)
{
    static const struct spool_identity ANY = {.migration = "", .slot = ""};
    struct folder folder;
    struct err ignored = {0};
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct segment_label label = {0};
    if (open_to_look(path, &folder) && folder_list(&folder, &numbers, &count, &ignored))
        for (size_t i = 0; i < count && !label.text; i++)
            (void)segment_look(&folder, numbers[i], &ANY, &label, &ignored);
    free(numbers);
    folder_close(&folder);
    return label.text;
}

/* The slot of the other one may be beyond what is in there. */
static bool refuse_foreign(const struct folder *folder, const uint64_t *numbers, size_t count,
                           const struct spool_identity *identity, struct err *err)
{
    struct segment_label label = {0};
    for (size_t i = 0; i < count && !label.foreign; i++)
        if (!segment_look(folder, numbers[i], identity, &label, err))
            return false;
    if (!label.foreign)
        return true;
    err_set(err, ERR_CONFIG, "spool %s: it is of another migration", folder->path);
    return err_remedy(err, "nothing in it was removed: mend spool.dir");
}

bool spool_remove(const char *path, const struct spool_identity *identity, struct err *err)
{
    struct folder folder;
    uint64_t *numbers = NULL;
    size_t count = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    bool ok = folder_open(&folder, path, err) && folder_list(&folder, &numbers, &count, err) &&
              refuse_foreign(&folder, numbers, count, identity, err);
    for (size_t i = count; ok && i > 0; i--)
        ok = folder_remove(&folder, numbers[i - 1], err);
    free(numbers);
    folder_close(&folder);
    return ok;
}
