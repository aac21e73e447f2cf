/* The ranker's properties. */
#include "base/digest.h"
#include "ranker_small.h"
#include <math.h>

/* ---- rows ---- */

/* One event of one user with a history of the given items (positions). */
static void one_event(struct world *w, struct batch *b, uint32_t candidate, const uint32_t *history,
                      uint32_t length) {
    b->events = b->users = 1;
    b->user[0] = 0;
    b->candidate[0] = candidate;
    b->history_length[0] = length;
    for (uint32_t j = 0; j < length; j++)
        b->history[j] = history[j];
    b->labels[0] = 1.0f;
    batch_index(w, b);
}

/* I_RQ + I_OPQ of an item, as a batch of its own computes it. */
static void modal_vector(struct world *w, struct batch *b, uint32_t item, float *out) {
    float logit;
    one_event(w, b, item, NULL, 0);
    ranker_score(w->ranker, b, &logit);
    memcpy(out, w->ranker->view[VIEW_MODAL].x, w->config.width * sizeof *out);
}

START_TEST(items_that_share_a_code_share_its_row) {
    struct world w;
    struct ranker_config config = small_config(VARIANT_ID_SID);
    float logit, shares[2][8], differs[2][8];
    world_open(&w, &config, ITEMS);
    uint32_t learned = world_item(&w, (uint16_t[]){1, 2, 3, 0, 1}, NULL);
    uint32_t same_first = world_item(&w, (uint16_t[]){1, 4, 0, 1, 2}, NULL);
    uint32_t other_prefix =
        world_item(&w, (uint16_t[]){2, 2, 3, 2, 3}, NULL); /* the same c2 and c3 do not matter */
    struct tensor *fuse = &w.ranker->tensors[TENSOR_FUSE];
    float *fuse_before = copy(fuse->value, fuse->count);
    world_commit(&w);
    struct batch b = batch_new(&w);
    modal_vector(&w, &b, same_first, shares[0]);
    modal_vector(&w, &b, other_prefix, differs[0]);
    one_event(&w, &b, learned, NULL, 0);
    ranker_score(w.ranker, &b, &logit);
    ranker_learn(w.ranker, &b);
    ck_assert_mem_ne(fuse->value, fuse_before, fuse->count * sizeof(float));
    memcpy(fuse->value, fuse_before,
           fuse->count * sizeof(float)); /* Fuse moves all items; here only rows are of interest */
    modal_vector(&w, &b, same_first, shares[1]);
    modal_vector(&w, &b, other_prefix, differs[1]);
    ck_assert_mem_ne(shares[0], shares[1], sizeof shares[0]);
    ck_assert_mem_eq(differs[0], differs[1], sizeof differs[0]);
    free(fuse_before);
    batch_free(&b);
    world_close(&w);
}
END_TEST

START_TEST(the_order_of_levels_matters) {
    struct world w;
    struct ranker_config config = small_config(VARIANT_ID_SID);
    float straight[8], turned[8];
    world_open(&w, &config, ITEMS);
    uint32_t a = world_item(&w, (uint16_t[]){1, 2, 3, 1, 1}, NULL),
             b = world_item(&w, (uint16_t[]){3, 2, 1, 1, 1}, NULL);
    struct batch batch = batch_new(&w);
    modal_vector(&w, &batch, a, straight);
    modal_vector(&w, &batch, b, turned);
    ck_assert_mem_ne(straight, turned, sizeof straight);
    batch_free(&batch);
    world_close(&w);
}
END_TEST

START_TEST(a_new_item_starts_at_zero) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 12, 0);
    struct world w;
    struct ranker_config config = small_config(VARIANT_ID_SID);
    world_open(&w, &config, ITEMS);
    uint32_t row = world_random_item(&w, &rng);
    const float *embedding = table_value(w.items.embedding, row),
                *optimiser = table_value(w.items.optimiser, row);
    for (uint32_t i = 0; i <= config.width; i++)
        ck_assert(embedding[i] == 0.0f);
    ck_assert(optimiser[0] == config.accumulator_rows && optimiser[1] == config.accumulator_rows);
    struct digest before, after;
    world_commit(&w);
    before = tables_digest(w.set);
    struct error err;
    ck_assert_int_eq(ranker_admit(w.ranker, row, &err),
                     OK); /* again: nothing is missing, nothing changes */
    world_commit(&w);
    after = tables_digest(w.set);
    ck_assert(digest_equal(before, after));
    world_close(&w);
}
END_TEST

/* The first value of a code row depends on the seed, the table and the row alone, not on when the
 * row is made. */
START_TEST(first_values_do_not_depend_on_order) {
    struct world w[2];
    struct ranker_config config = small_config(VARIANT_ID_SID);
    const uint16_t a[SID_CODES] = {1, 2, 3, 0, 1}, b[SID_CODES] = {3, 0, 5, 2, 6};
    for (int i = 0; i < 2; i++) {
        world_open(&w[i], &config, ITEMS);
        world_item(&w[i], i ? a : b, NULL);
        world_item(&w[i], i ? b : a, NULL);
        world_commit(&w[i]);
    }
    for (int l = 0; l < SID_CODES; l++) {
        struct code_rows *one = &w[0].ranker->levels[l].of[CODES_EMBEDDING],
                         *two = &w[1].ranker->levels[l].of[CODES_EMBEDDING];
        ck_assert(digest_equal(table_digest(one->rows), table_digest(two->rows)));
        ck_assert(digest_equal(table_digest(one->accumulators), table_digest(two->accumulators)));
    }
    for (int i = 0; i < 2; i++)
        world_close(&w[i]);
}
END_TEST

static double mean_square(const struct tensor *t) {
    double sum = 0.0;
    for (size_t i = 0; i < t->count; i++)
        sum += (double)t->value[i] * (double)t->value[i];
    return sum / (double)t->count;
}

START_TEST(tensors_start_as_documented) {
    struct world w;
    struct ranker_config config = world_config(VARIANT_ID_SID);
    world_open(&w, &config, ITEMS);
    const struct tensor *t = w.ranker->tensors;
    uint32_t d = config.width;
    for (uint32_t i = 0; i < 3 * d; i++)
        for (uint32_t j = 0; j < d; j++)
            ck_assert(t[TENSOR_FUSE].value[i * d + j] == (i % d == j ? 1.0f : 0.0f));
    ck_assert(t[TENSOR_SHARPNESS].count == 2 && t[TENSOR_SHARPNESS].value[0] == 4.0f &&
              t[TENSOR_SHARPNESS].value[1] == 4.0f);
    ck_assert(mean_square(&t[TENSOR_B1]) == 0.0 && mean_square(&t[TENSOR_B2]) == 0.0 &&
              mean_square(&t[TENSOR_B3]) == 0.0);
    ck_assert_double_eq_tol(mean_square(&t[TENSOR_W1]) * (FEATURES + 6 * d), 1.0, 0.05);
    ck_assert_double_eq_tol(mean_square(&t[TENSOR_W2]) * config.hidden[0], 1.0, 0.15);
    ck_assert_double_eq_tol(mean_square(&t[TENSOR_W3]), 0.01, 0.008);
    for (int i = 0; i < TENSORS; i++)
        for (size_t j = 0; j < t[i].count; j++)
            ck_assert(t[i].accumulator[j] == config.accumulator_dense);
    world_close(&w);
}
END_TEST

/* ---- what a batch touches ---- */

/* Dirty rows of a table: all must be in `allowed`; returns how many there are. */
static uint32_t count_dirty(const struct table *table, const bool *allowed) {
    for (uint32_t i = 0; i < table_dirty_count(table); i++)
        ck_assert_msg(allowed[table_dirty_at(table, i)], "%s: row %u is dirty",
                      table_spec(table)->name, table_dirty_at(table, i));
    return table_dirty_count(table);
}

static void check_dirty_levels(const struct world *w, const struct batch *b) {
    for (uint32_t l = 0; l < SID_CODES; l++) {
        const struct code_rows *level = &w->ranker->levels[l].of[CODES_EMBEDDING];
        bool rows[64] = {0}, chunks[64] = {0};
        uint32_t distinct = 0;
        for (uint32_t u = 0; u < b->items; u++) {
            if (!table_live(w->items.sid, b->item_row[u]))
                continue;
            uint32_t row = code_row(&w->config, table_value(w->items.sid, b->item_row[u]), l);
            distinct += !rows[row];
            rows[row] = chunks[row / ACCUMULATORS_PER_ROW] = true;
        }
        ck_assert_uint_eq(count_dirty(level->rows, rows), distinct);
        ck_assert_uint_gt(count_dirty(level->accumulators, chunks), 0);
    }
}

START_TEST(only_touched_rows_are_dirty) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 13, 0);
    struct world w;
    float logits[EVENTS];
    bool items[ITEMS] = {0};
    open_small(&w, VARIANT_ID_SID, &rng);
    struct batch b = batch_new(&w);
    batch_random(&w, &b, 3, 2, false, &rng);
    ck_assert_uint_lt(b.items, ITEMS);
    for (uint32_t u = 0; u < b.items; u++)
        items[b.item_row[u]] = true;
    ranker_score(w.ranker, &b, logits);
    tables_seal(w.set);
    for (uint32_t t = 0; t < tables_count(w.set); t++) /* scoring changes nothing */
        ck_assert_uint_eq(table_dirty_count(tables_at(w.set, t)), 0);
    tables_commit(w.set);
    ranker_learn(w.ranker, &b);
    tables_seal(w.set);
    ck_assert_uint_eq(count_dirty(w.items.embedding, items), b.items);
    ck_assert_uint_eq(count_dirty(w.items.optimiser, items), b.items);
    ck_assert_uint_eq(table_dirty_count(w.items.items) + table_dirty_count(w.items.sid) +
                          table_dirty_count(w.items.z),
                      0);
    check_dirty_levels(&w, &b);
    tables_commit(w.set);
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* Without a SID there is nothing for codes to learn, without a history nothing for the sharpness.
 * */
START_TEST(rows_without_gradient_stay_clean) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 14, 0);
    struct world w;
    float logit;
    open_small(&w, VARIANT_ID_SID, &rng);
    struct batch b = batch_new(&w);
    one_event(&w, &b, ITEMS - 1, NULL, 0);
    ranker_score(w.ranker, &b, &logit);
    for (uint32_t j = 0; j < w.config.width; j++)
        ck_assert(w.ranker->input[FEATURES + w.config.width + j] == 0.0f);
    ranker_learn(w.ranker, &b);
    tables_seal(w.set);
    ck_assert_uint_eq(table_dirty_count(w.items.embedding), 1);
    for (int l = 0; l < SID_CODES; l++)
        ck_assert_uint_eq(table_dirty_count(w.ranker->levels[l].of[CODES_EMBEDDING].rows), 0);
    ck_assert_uint_eq(table_dirty_count(w.ranker->tensors[TENSOR_FUSE].values), 0);
    ck_assert_uint_eq(table_dirty_count(w.ranker->tensors[TENSOR_SHARPNESS].values), 0);
    ck_assert_uint_eq(table_dirty_count(w.ranker->tensors[TENSOR_W1].values), 1);
    tables_commit(w.set);
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* With a last layer of zeros nothing below it learns; the candidate's bias does, those of the
 * history do not. */
START_TEST(a_dead_network_teaches_the_bias_alone) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 20, 0);
    struct world w;
    float logit;
    const uint32_t history[2] = {3, 4};
    open_small(&w, VARIANT_ID_SID, &rng);
    struct tensor *w3 = &w.ranker->tensors[TENSOR_W3];
    memset(table_edit(w3->values, 0), 0, w3->count * sizeof(float));
    world_commit(&w);
    struct batch b = batch_new(&w);
    one_event(&w, &b, 1, history, 2);
    ranker_score(w.ranker, &b, &logit);
    ranker_learn(w.ranker, &b);
    tables_seal(w.set);
    ck_assert_uint_eq(table_dirty_count(w.items.embedding), 1);
    ck_assert_uint_eq(table_dirty_at(w.items.embedding, 0), 1);
    for (int l = 0; l < SID_CODES; l++) {
        ck_assert_uint_eq(table_dirty_count(w.ranker->levels[l].of[CODES_EMBEDDING].rows), 0);
        ck_assert_uint_eq(table_dirty_count(w.ranker->levels[l].of[CODES_EMBEDDING].accumulators),
                          0);
    }
    ck_assert_uint_eq(table_dirty_count(w.ranker->tensors[TENSOR_W1].values), 0);
    tables_commit(w.set);
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* ---- the same bits ---- */

static void check_rollback(enum variant variant) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 15, variant);
    struct world w;
    float first[EVENTS], again[EVENTS], other[EVENTS];
    open_small(&w, variant, &rng);
    struct batch b = batch_new(&w);
    batch_random(&w, &b, EVENTS, 5, true, &rng);
    struct digest before = tables_digest(w.set);
    ranker_score(w.ranker, &b, first);
    ranker_learn(w.ranker, &b);
    tables_seal(w.set);
    struct digest learned = tables_digest(w.set);
    ck_assert(!digest_equal(learned, before));
    tables_rollback(w.set);
    ck_assert(digest_equal(tables_digest(w.set), before));
    struct error err;
    for (uint32_t t = 0; t < tables_count(w.set); t++) /* the digests are those of the rows */
        ck_assert_int_eq(table_validate(tables_at(w.set, t), &err), OK);
    ranker_score(w.ranker, &b, again);
    ck_assert_mem_eq(first, again, sizeof first);
    ranker_learn(w.ranker, &b);
    tables_seal(w.set);
    ck_assert(digest_equal(tables_digest(w.set), learned)); /* the same batch from the same state */
    tables_commit(w.set);
    ranker_score(w.ranker, &b, other);
    ck_assert_mem_ne(first, other, sizeof first);
    batch_free(&b);
    world_close(&w);
}

START_TEST(rollback_restores_every_bit) {
    check_rollback(VARIANT_ID);
    check_rollback(VARIANT_ID_CONTENT);
    check_rollback(VARIANT_ID_SID);
}
END_TEST

/* What is in the scratch from other batches has no part in a result, nor has the company in the
 * batch in a score. */
START_TEST(an_event_scores_the_same_alone) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 16, 0);
    struct world w;
    float together[EVENTS], alone;
    open_small(&w, VARIANT_ID_SID, &rng);
    struct batch b = batch_new(&w), one = batch_new(&w);
    batch_random(&w, &b, EVENTS, 5, true, &rng);
    ranker_score(w.ranker, &b, together);
    for (uint32_t e = 0; e < EVENTS; e++) {
        uint32_t history[5], user = b.user[e], length = b.history_length[user];
        for (uint32_t j = 0; j < length; j++)
            history[j] = b.item_row[b.history[user * w.config.history + j]];
        memcpy(one.features, b.features + e * FEATURES, FEATURES * sizeof(float));
        one_event(&w, &one, b.item_row[b.candidate[e]], history, length);
        ranker_score(w.ranker, &one, &alone);
        ck_assert_mem_eq(&alone, &together[e], sizeof alone);
    }
    batch_free(&b);
    batch_free(&one);
    world_close(&w);
}
END_TEST

START_TEST(an_item_out_of_the_history_has_no_effect) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 17, 0);
    struct world w;
    float with[2], without[2];
    const uint32_t history[2] = {3, 4};
    open_small(&w, VARIANT_ID_SID, &rng);
    struct batch b = batch_new(&w);
    for (int i = 0; i < 2; i++) {
        one_event(&w, &b, 1, history, 2);
        ranker_score(w.ranker, &b, &with[i]);
        one_event(&w, &b, 1, history, 1);
        ranker_score(w.ranker, &b, &without[i]);
        ((float *)table_edit(w.items.embedding, 4))[0] += 1.0f;
    }
    ck_assert(with[0] != with[1]);
    ck_assert(without[0] == without[1]);
    ck_assert(with[0] != without[0]);
    batch_free(&b);
    world_close(&w);
}
END_TEST

/* ---- learning, chunks and errors ---- */

/* Clicks follow from the item alone: the loss must fall well below that of a constant. */
START_TEST(it_learns) {
    struct rng rng = rng_stream(seed(), RNG_TEST, 18, 0);
    struct world w;
    float logits[EVENTS], loss = 0.0f;
    open_small(&w, VARIANT_ID_SID, &rng);
    struct batch b = batch_new(&w);
    for (int step = 0; step < 400; step++) {
        batch_random(&w, &b, EVENTS, 3, true, &rng);
        for (uint32_t e = 0; e < EVENTS; e++)
            b.labels[e] = b.item_row[b.candidate[e]] % 3 == 0;
        ranker_score(w.ranker, &b, logits);
        float now = ranker_learn(w.ranker, &b).bce;
        loss += step >= 300 ? now / 100.0f : 0.0f;
        world_commit(&w);
    }
    char hex[DIGEST_HEX_BYTES]; /* the same from every build on every CPU, for one seed */
    printf("loss after 300 batches: %.3f, digest %s\n", (double)loss,
           digest_hex(tables_digest(w.set), hex));
    ck_assert_double_lt((double)loss, 0.2); /* log 2 = 0.69 */
    batch_free(&b);
    world_close(&w);
}
END_TEST

START_TEST(large_tensors_are_chunked) {
    struct world w;
    struct ranker_config config = world_config(VARIANT_ID);
    struct rng rng = rng_stream(seed(), RNG_TEST, 19, 0);
    float logits[4];
    config.hidden[0] = 700; /* w1: 102 * 700 * 4 bytes, two chunks */
    config.batch = 4;
    world_open(&w, &config, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        world_random_item(&w, &rng);
    shake(w.items.embedding, 0.5f, &rng); /* zero inputs have no gradient */
    world_commit(&w);
    const struct tensor *w1 = &w.ranker->tensors[TENSOR_W1];
    ck_assert_uint_eq(table_rows(w1->values), 2);
    ck_assert_uint_eq(table_spec(w1->values)->value_bytes, 256u << 10);
    struct batch b = batch_new(&w);
    batch_random(&w, &b, 4, 2, false, &rng);
    float *before = copy(w1->value, w1->count);
    ranker_score(w.ranker, &b, logits);
    ranker_learn(w.ranker, &b);
    ck_assert_mem_ne(before + w1->chunk, w1->value + w1->chunk,
                     (w1->count - w1->chunk) * sizeof(float));
    tables_seal(w.set);
    ck_assert_uint_eq(table_dirty_count(w1->values), 2);
    tables_rollback(w.set);
    ck_assert_mem_eq(before, w1->value, w1->count * sizeof(float));
    free(before);
    batch_free(&b);
    world_close(&w);
}
END_TEST

static void check_refused(const struct ranker_config *config, size_t arena_bytes,
                          const char *text) {
    struct error err;
    struct world w = {.config = *config, .items_max = ITEMS};
    struct ranker *ranker;
    ck_assert_int_eq(arena_reserve(&w.arena, "small", arena_bytes, &err), OK);
    ck_assert_int_eq(tables_create(&w.set, &err), OK);
    world_add(&w, "items", NULL, 4, &w.items.items);
    world_add(&w, "embedding", w.items.items, (config->width + 1) * sizeof(float),
              &w.items.embedding);
    ck_assert_int_eq(ranker_create(&ranker, config, &w.items, w.set, &w.arena, &err), FATAL);
    ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
    world_close(&w);
}

START_TEST(errors_name_what_is_wrong) {
    struct ranker_config config = world_config(VARIANT_ID_SID);
    check_refused(&config, 1 << 20, "arena small");
    config.history = 0;
    check_refused(&config, 64 << 20, "history is 0");
    config = world_config(VARIANT_ID_SID);
    config.books[0] = config.books[1] = 65536;
    check_refused(&config, 64 << 20, "E2");
    config = world_config(VARIANT_ID_SID);
    config.accumulator_dense = 0.0f;
    check_refused(&config, 64 << 20, "accumulator_dense");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("ranker");
    TCase *cases = tcase_create("ranker");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, items_that_share_a_code_share_its_row);
    tcase_add_test(cases, the_order_of_levels_matters);
    tcase_add_test(cases, a_new_item_starts_at_zero);
    tcase_add_test(cases, first_values_do_not_depend_on_order);
    tcase_add_test(cases, tensors_start_as_documented);
    tcase_add_test(cases, only_touched_rows_are_dirty);
    tcase_add_test(cases, rows_without_gradient_stay_clean);
    tcase_add_test(cases, a_dead_network_teaches_the_bias_alone);
    tcase_add_test(cases, rollback_restores_every_bit);
    tcase_add_test(cases, an_event_scores_the_same_alone);
    tcase_add_test(cases, an_item_out_of_the_history_has_no_effect);
    tcase_add_test(cases, it_learns);
    tcase_add_test(cases, large_tensors_are_chunked);
    tcase_add_test(cases, errors_name_what_is_wrong);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
