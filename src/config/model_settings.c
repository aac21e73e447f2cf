#include "config/model_settings.h"
#include "stage/modalities.h"
#include <string.h>

enum status settings_lay_out(struct settings *settings, struct error *err) {
    struct content_layout *layout = &settings->stage.layout;
    uint32_t dims = layout->ngram_dims;
    TRY(modalities_parse(settings->modalities, layout, err));
    for (uint32_t m = 0; m < layout->modality_count; m++)
        dims += layout->modalities[m].dims;
    if (layout->modality_count > 0)
        settings->content_dims = dims;
    if (settings->content_dims > 0 && settings->content_dims <= layout->ngram_dims &&
        layout->modality_count == 0)
        return FAIL(err, FATAL, EX_CONFIG,
                    "content.dims is %u, with %u of content.ngrams in it: no room for vectors",
                    settings->content_dims, layout->ngram_dims);
    return OK;
}

void settings_fit_z(struct settings *settings) {
    uint32_t z_max = settings->content_dims & ~1u;
    if (settings->z_dims > z_max)
        settings->z_dims = z_max;
}

struct model_config settings_model(const struct settings *c) {
    struct model_config m = {
        .tokenizer = {.content_dims = c->content_dims, .z_dims = c->z_dims, .seed = c->seed},
        .ranker = c->ranker,
        .updates = c->updates,
        .encoder = c->learned,
        .generations = c->generations,
        .train_listings = c->train_listings,
        .items_max = c->items_max,
        .users_max = c->users_max,
        .id_bytes_max = c->id_bytes_max,
        .title_bytes = c->title_bytes,
        .warmup_events = c->warmup_events,
        .seed = c->seed};
    const struct content_layout *layout = &c->stage.layout;
    for (uint32_t i = 0; i < layout->modality_count; i++)
        m.tokenizer.parts[i] = layout->modalities[i].dims;
    if (layout->modality_count == 0 && layout->ngram_dims > 0)
        m.tokenizer.parts[0] = c->content_dims - layout->ngram_dims;
    if (layout->ngram_dims > 0)
        m.tokenizer.parts[layout->modality_count > 0 ? layout->modality_count : 1] =
            layout->ngram_dims;
    m.encoder.on = c->encoder == ENCODER_BEHAVIOUR;
    memcpy(m.tokenizer.books, c->books, sizeof c->books);
    memcpy(m.ranker.books, c->books, sizeof c->books);
    m.ranker.z_dims = c->z_dims;
    m.ranker.banks = c->generations.on ? 2 : 1;
    m.ranker.seed = c->seed;
    return m;
}
