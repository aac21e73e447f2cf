#include "follow/public_tables.h"

#include "base/poison.h"

#define MODEL_BYTES ((size_t)4 << 30) /* of address space */

static bool is_public(const struct table_spec *spec) {
    return spec->output != TO_CHANGELOG && spec->output != TO_NOTHING;
}

/* The parent of a public table is not itself public: its rows are implied. */
static enum status add_parent(struct tables *set, const struct table *parent, struct table **out,
                              struct error *err) {
    struct table_spec spec = *table_spec(parent);
    *out = tables_named(set, bytes_text(spec.name));
    if (*out != NULL)
        return OK;
    spec.output = TO_NOTHING;
    spec.value_bytes = 4;
    return tables_add(set, &spec, out, err);
}

static enum status add_public(struct tables *set, const struct tables *all, struct error *err) {
    for (uint32_t t = 0; t < tables_count(all); t++) {
        struct table_spec spec = *table_spec(tables_at(all, t));
        struct table *added;
        if (!is_public(&spec))
            continue;
        if (spec.parent != NULL)
            TRY(add_parent(set, spec.parent, &spec.parent, err));
        TRY(tables_add(set, &spec, &added, err));
    }
    return OK;
}

/* A whole model is made, and only its tables' shapes are looked at: address space for a moment. */
static enum status make(struct tables *set, const struct model_config *config, struct tables *all,
                        struct arena *arena, struct error *err) {
    struct model *model = NULL;
    enum status status = model_create(&model, config, all, arena, err);
    if (status == OK)
        status = add_public(set, all, err);
    model_destroy(model);
    return status;
}

enum status public_tables_create(struct tables **out, const struct model_config *config,
                                 struct error *err) {
    struct tables *all;
    struct arena arena;
    TRY(tables_create(&all, err));
    enum status status = arena_reserve(&arena, "the model's shape", MODEL_BYTES, err);
    if (status == OK) {
        status = tables_create(out, err);
        if (status == OK)
            status = make(*out, config, all, &arena, err);
        arena_release(&arena);
    }
    tables_destroy(all);
    return status;
}
