/* Stored batches: two bytes of length and the bytes, decoded one after the other into one batch, as a
 * spool's reader does. What is taken is written and read again as the same. */
#include "fuzz.h"
#include "model/codec.h"

#include "base/buf.h"

static void must_be_whole(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->change_count; i++) {
        const struct change *change = &batch->changes[i];
        fuzz_must(change->transaction < batch->transaction_count,
                  "a change has its transaction");
        fuzz_must(change->relation != NULL, "and its table");
        fuzz_must(change->new.values == NULL ||
                      change->new.count == change->relation->column_count,
                  "a row has its table's columns");
        fuzz_must(change->kind != CHANGE_DELETE || change->old_image != OLD_NONE,
                  "what is deleted is told");
    }
}

/* Encoding says the same of it, whoever has decoded. */
static void must_come_back(const struct batch *batch, const struct codec_reading *reading)
{
    struct batch *again = batch_create();
    struct buf first = {0};
    struct buf second = {0};
    struct err err = {0};
    codec_encode(batch, &first);
    fuzz_must(codec_decode(first.data, first.size, reading, again, &err),
              "what is written is read");
    codec_encode(again, &second);
    fuzz_must(first.size == second.size && memcmp(first.data, second.data, first.size) == 0,
              "it is the same");
    buf_free(&first);
    buf_free(&second);
    batch_destroy(again);
}

/* In a block of its own, so that a read past its end is seen. */
static bool decode(const uint8_t *data, size_t size, const struct codec_reading *reading,
                   struct batch *batch)
{
    struct err err = {0};
    char *bytes = arena_alloc(&batch->arena, size + 1);
    memcpy(bytes, data, size);
    if (codec_decode(bytes, size, reading, batch, &err))
        return true;
    fuzz_must(err.class == ERR_CORRUPT && err.message[0], "a refusal says what is wrong");
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct interner interner = {0};
    const struct codec_reading reading = {.interner = &interner};
    struct batch *batch = batch_create();
    bool ok = true;
    while (ok && size > 2) {
        size_t length = (size_t)fuzz_byte(&data, &size) << 8;
        length |= fuzz_byte(&data, &size);
        length = length < size ? length : size;
        ok = decode(data, length, &reading, batch);
        data += length;
        size -= length;
    }
    if (ok) {
        must_be_whole(batch);
        must_come_back(batch, &reading);
    }
    batch_destroy(batch);
    interner_free(&interner);
    return 0;
}
