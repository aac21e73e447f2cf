#include "model/ranker_private.h"

#include "base/poison.h"

#define LEVEL_ROWS_MAX (1u << 24)
/* Of widths, history and batch: far beyond use, and products of them stay in 64 bits. */
#define SIZE_MAX_EACH 8192u

const char *const ranker_variant_names[] = {[VARIANT_ID] = "id",
                                            [VARIANT_CONTENT] = "content",
                                            [VARIANT_ID_CONTENT] = "id+content",
                                            [VARIANT_ID_SID] = "id+sid",
                                            [VARIANT_SMILE] = "smile",
                                            [VARIANT_SAVIOR] = "savior",
                                            [VARIANT_FULL] = "full",
                                            NULL};

const char *const code_table_names[CODE_USES][SID_CODES] = {
    [CODES_EMBEDDING] = {"E1", "E2", "E3", "O1", "O2"},
    [CODES_RESIDUAL] = {"A1", "A2", "A3", NULL, NULL},
};

struct ranker_parts ranker_parts(const struct ranker_config *c) {
    enum variant v = c->variant;
    bool smile = v == VARIANT_SMILE || v == VARIANT_FULL;
    bool savior = v == VARIANT_SAVIOR || v == VARIANT_FULL;
    bool codes = v == VARIANT_ID_SID || v == VARIANT_SMILE;
    struct ranker_parts parts = {
        .behaviour = v != VARIANT_CONTENT,
        .modal = v == VARIANT_ID ? MODAL_NONE
                 : codes         ? MODAL_CODES
                                 : MODAL_CONTENT,
        .fused = smile,
        .gate = smile && c->gate == GATE_LEARNED,
        .opq = smile && c->opq,
        .mba = savior && c->mba,
        .cross = savior && c->cross,
        .transfer = smile && c->kl_weight > 0.0f,
        .contrast = smile && c->opq && c->contrast_weight > 0.0f,
    };
    return parts;
}

bool ranker_has_rows(const struct ranker_parts *p, enum code_use use, uint32_t level) {
    if (use == CODES_RESIDUAL)
        return p->mba && level < RQ_LEVELS;
    if (p->modal == MODAL_CODES)
        return true;
    return level < RQ_LEVELS ? p->fused : p->opq;
}

static uint64_t wanted_rows(const struct ranker_config *c, uint32_t level) {
    if (level == 1)
        return (uint64_t)c->books[0] * c->books[1];
    return level == 2 ? c->prefix_rows : c->books[level];
}

uint32_t level_rows(const struct ranker_config *c, uint32_t level) {
    return (uint32_t)wanted_rows(c, level) * c->banks;
}

static enum status check_size(const char *name, uint32_t value, struct error *err) {
    if (value == 0 || value > SIZE_MAX_EACH)
        return FAIL(err, FATAL, EX_CONFIG, "ranker: %s is %u; it must be 1 to %u", name, value,
                    SIZE_MAX_EACH);
    return OK;
}

static enum status check_rate(const char *name, float value, struct error *err) {
    if (!(value > 0.0f))
        return FAIL(err, FATAL, EX_CONFIG, "ranker: %s is %g; it must be greater than 0", name,
                    (double)value);
    return OK;
}

enum status ranker_check_config(const struct ranker_config *c, struct error *err) {
    ASSERT(c->banks == 1 || c->banks == 2);
    TRY(check_size("width", c->width, err));
    TRY(check_size("history", c->history, err));
    TRY(check_size("batch", c->batch, err));
    TRY(check_size("z_dims", c->z_dims, err));
    TRY(check_size("hidden[0]", c->hidden[0], err));
    TRY(check_size("hidden[1]", c->hidden[1], err));
    if (ranker_parts(c).gate)
        TRY(check_size("gate_hidden", c->gate_hidden, err));
    TRY(check_rate("rate_rows", c->rate_rows, err));
    TRY(check_rate("rate_dense", c->rate_dense, err));
    TRY(check_rate("accumulator_rows", c->accumulator_rows, err));
    TRY(check_rate("accumulator_dense", c->accumulator_dense, err));
    for (uint32_t l = 0; l < SID_CODES; l++)
        if (wanted_rows(c, l) == 0 || wanted_rows(c, l) > LEVEL_ROWS_MAX)
            return FAIL(err, FATAL, EX_CONFIG,
                        "ranker: table %s would have %llu rows; it must have 1 to %u",
                        code_table_names[CODES_EMBEDDING][l], (unsigned long long)wanted_rows(c, l),
                        LEVEL_ROWS_MAX);
    return OK;
}

uint32_t code_row(const struct ranker_config *c, const struct sid_row *sid, uint32_t level) {
    uint64_t row = sid->codes[level];
    if (level == 1 || level == 2)
        row = sid->codes[0] * (uint64_t)c->books[1] + sid->codes[1];
    if (level == 2)
        row = (row * c->books[2] + sid->codes[2]) % c->prefix_rows;
    if (c->banks > 1 && sid->generation % 2 == 0)
        row += wanted_rows(c, level);
    return (uint32_t)row;
}
