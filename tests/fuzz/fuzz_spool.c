/* A spool's folder with one segment, whose bytes are anything: opened, read to its end, opened again.
 * The first byte's bits say which checksums are put right before, so that what is behind them is
 * reached too. */
#include "fuzz.h"
#include "spool/spool.h"

#include "base/reader.h"

#include <fcntl.h>
#include <xxhash.h>

#define HEADER_SIZE_AT 12
#define NUMBER 1
#define MOST (1U << 16)

enum { MEND_HEADER = 1, MEND_FRAMES = 2, MEND_BYTES = 4, AS_TEXT = 8 };

static void put_u64(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint32_t get_u32(const uint8_t *from)
{
    struct reader reader;
    reader_init(&reader, from, 4);
    return reader_u32(&reader);
}

/* Where the frames begin. */
static size_t mend_header(uint8_t *bytes, size_t size, bool mends)
{
    size_t header = size > HEADER_SIZE_AT + 4 ? get_u32(bytes + HEADER_SIZE_AT) : size;
    if (header > size || header < 8)
        return size;
    if (mends)
        put_u64(bytes + header - 8, XXH64(bytes, header - 8, 0));
    return header;
}

static void mend(uint8_t *bytes, size_t size, uint8_t how)
{
    size_t at = mend_header(bytes, size, (how & MEND_HEADER) != 0);
    while (size - at >= FRAME_HEADER) {
        size_t stored = get_u32(bytes + at);
        size_t left = size - at - FRAME_HEADER;
        if ((how & MEND_BYTES) != 0 && stored <= left)
            put_u64(bytes + at + 32, XXH64(bytes + at + FRAME_HEADER, stored, 0));
        if ((how & MEND_FRAMES) != 0)
            put_u64(bytes + at + 40, XXH64(bytes + at, 40, segment_seed(NUMBER, at)));
        at += FRAME_HEADER + (stored < left ? stored : left);
    }
}

static void write_segment(const char *folder, const uint8_t *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%016x.spool", folder, NUMBER);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void read_all(struct spool *spool)
{
    struct backlog *backlog = spool_backlog(spool);
    struct batch *batch = batch_create();
    struct spool_picture picture;
    struct err err = {0};
    enum backlog_result result;
    spool_look(spool, &picture);
    fuzz_must(backlog->ops->begin(backlog, picture.floor, &err), "reading begins");
    do
        result = backlog->ops->take(backlog, batch, &err);
    while (result == BACKLOG_OK);
    fuzz_must(result == BACKLOG_NONE || err.class == ERR_RETRY, "what is damaged comes again");
    fuzz_must(backlog->ops->settle(backlog, &err), "it can be gone on from");
    batch_destroy(batch);
}

static const struct spool_identity ours = {"shop", "slackwater_shop", "7000", "db", 1};

/* False when it is refused. */
static bool open_and_read(const char *folder, bool text)
{
    const struct spool_config config = {
        .folder = folder, .identity = ours, .max_bytes = 1 << 24, .text = text};
    struct spool *spool = NULL;
    struct err err = {0};
    uint64_t cut = 0;
    (void)spool_holds_text(folder);
    if (!spool_open(&config, &spool, &cut, &err)) {
        fuzz_must(err.class == ERR_CONFIG, "what is refused is another's");
        return false;
    }
    read_all(spool);
    spool_close(spool);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[] = "/dev/shm/fuzz-spool-XXXXXX";
    uint8_t how = fuzz_byte(&data, &size);
    struct err err = {0};
    if (size > MOST || mkdtemp(folder) == NULL)
        return 0;
    uint8_t *bytes = mem_alloc(size + 1);
    memcpy(bytes, data, size);
    mend(bytes, size, how);
    write_segment(folder, bytes, size);
    free(bytes);
    if (open_and_read(folder, (how & AS_TEXT) != 0))
        fuzz_must(open_and_read(folder, false), "what was opened once is opened again");
    if (!spool_remove(folder, &ours, &err)) {
        fuzz_must(err.class == ERR_CONFIG, "what is not removed is another's");
        write_segment(folder, NULL, 0);
        fuzz_must(spool_remove(folder, &ours, &err), "nobody's is removed");
    }
    fuzz_must(rmdir(folder) == 0, "nothing is left");
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    return 0;
}
