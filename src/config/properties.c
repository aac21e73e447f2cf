#include "config/properties.h"
#include "base/log.h"
#include "transport/recording.h"
#include <stddef.h>

static const char *const gate_names[] = {"half", "learned", NULL};
static const char *const switch_names[] = {"off", "on", NULL};
static const char *const encoder_names[] = {"pca", "behaviour", NULL};
static const char *const codebook_names[] = {"frozen", "continual", NULL};
static const char *const policy_names[] = {"apply", "set-aside", NULL};
static const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_format_names[] = {"logfmt", "json", NULL};
static const char *const compression_names[] = {"none", "deflate", NULL};
_Static_assert(GATE_HALF == 0 && GATE_LEARNED == 1, "gate_names");
_Static_assert(ENCODER_PCA == 0 && ENCODER_BEHAVIOUR == 1, "encoder_names");
_Static_assert(PARKING_APPLY == 0 && PARKING_SET_ASIDE == 1, "policy_names");
_Static_assert(LOG_DEBUG == 0 && LOG_ERROR == 3 && LOG_LOGFMT == 0 && LOG_JSON == 1, "log_*_names");
_Static_assert(COMPRESSION_NONE == 0 && COMPRESSION_DEFLATE == 1, "compression_names");
_Static_assert(sizeof(enum variant) == 4 && sizeof(enum encoder) == 4 &&
                   sizeof(enum gate_kind) == 4 && sizeof(enum parking_policy) == 4,
               "PROPERTY_NAME writes 4 bytes");

#define YEAR_MS 31536000000.0
#define AT(field) offsetof(struct settings, field)
#define NUMBER_OF(reach, path, type, field, min, max, preset, unit, doc)                           \
    { path, type, AT(field), 1, min, max, 0, preset, unit, NULL, doc, reach }
#define NUMBER(...) NUMBER_OF(REACH_STATE, __VA_ARGS__)
#define STEPS(path, type, field, min, max, step, preset, unit, doc)                                \
    { path, type, AT(field), 1, min, max, step, preset, unit, NULL, doc, REACH_STATE }
#define LIST(path, field, count, min, max, preset, unit, doc)                                      \
    { path, PROPERTY_U32, AT(field), count, min, max, 0, preset, unit, NULL, doc, REACH_STATE }
#define WORDS_OF(reach, path, field, min, max, preset, doc)                                        \
    { path, PROPERTY_WORDS, AT(field), 1, min, max, 0, preset, "", NULL, doc, reach }
#define WORDS(...) WORDS_OF(REACH_STATE, __VA_ARGS__)
#define NAME_OF(reach, path, field, names, preset, doc)                                            \
    { path, PROPERTY_NAME, AT(field), 1, 0, 0, 0, preset, "", names, doc, reach }
#define NAME(path, field, names, preset, doc) NAME_OF(REACH_STATE, path, field, names, preset, doc)

#define MAP_OF(reach, path, field, doc)                                                            \
    { path, PROPERTY_MAP, AT(field), 1, 0, TEXT_MAP_MAX, 0, "{}", "", NULL, doc, reach }
#define TOPIC(path, topic, preset, doc)                                                            \
    WORDS_OF(REACH_RUN, path, topic_names[topic], 1, TOPIC_NAME_BYTES - 1, "\"" preset "\"", doc)

/* Sections are runs of equal first words. */
const struct property properties[] = {
    NUMBER("seed", PROPERTY_U64, seed, 0, 9007199254740992.0, "0", "",
           "Of all randomness: codebooks, first values, sampled negatives. The same input, "
           "configuration and seed give the same bytes."),

    NUMBER("content.dims", PROPERTY_U32, content_dims, 0, 16384, "0", "",
           "Length of a listing's vectors, one after the other, and content.ngrams. 0: as the "
           "first listing of the "
           "recording has it."),
    WORDS(
        "content.modalities", modalities, 0, 159, "\"\"",
        "Names and lengths of the vectors that a listing may have, such as text:384 image:512; any "
        "of them may be missing and then counts as the mean. Empty: all listings have the same "
        "vectors in the same order, whatever their names."),
    NUMBER(
        "content.ngrams", PROPERTY_U32, stage.layout.ngram_dims, 0, 4096, "0", "",
        "A listing's text as hashed runs of three letters, so many numbers beside its vectors: a "
        "listing with text alone is then encoded by these. 0: none."),
    STEPS("content.title_bytes", PROPERTY_U32, title_bytes, 4, 4096, 4, "96", "bytes",
          "So much of a listing's text is kept, for reports and look-ups. The model does not read "
          "it."),

    STEPS("tokenizer.z_dims", PROPERTY_U32, z_dims, 2, 1024, 2, "64", "",
          "Width of the space in which listings are quantised. Reduced to the content's own dims "
          "where those are fewer."),
    LIST("tokenizer.books", books, SID_CODES, 2, 65536, "[64, 64, 64, 64, 64]", "codes",
         "Codes per level of a semantic ID: three residual levels, then the two halves of the last "
         "residual. The first two multiplied give "
         "the rows of a table: at most 16777216."),
    NUMBER("tokenizer.train_listings", PROPERTY_U32, train_listings, 2, 1048576, "2048", "listings",
           "The first codebooks are trained when so many listings wait; until then items have no "
           "semantic ID. A replay whose recording has fewer before its first interaction trains on "
           "those, or on a quarter of all its listings, whichever is more."),

    NAME("tokenizer.codebooks", updates.on, codebook_names, "frozen",
         "Whether the codebooks stay as first trained (frozen) or follow what is shown and listed "
         "(continual). The settings below down to tokenizer.sweep are for the latter."),
    NUMBER("tokenizer.version_epochs", PROPERTY_U32, updates.publish_epochs, 1, 1000000, "1",
           "click epochs",
           "A new codebook_version is published every so many; items are assigned from published "
           "ones only."),
    LIST("tokenizer.memory", updates.memory, SID_CODES, 2, 1000000000,
         "[20000, 15000, 15000, 15000, 15000]", "item events",
         "How far back each level's running means reach: the coarse level longest."),
    NUMBER("tokenizer.popularity", PROPERTY_F32, updates.popularity, 0, 2, "1", "",
           "Exponent of an item event's weight in the item events since the item's last one: 0 "
           "counts popular items as often as they are shown, 1 all items alike."),
    NUMBER("tokenizer.weight_max", PROPERTY_F32, updates.weight_max, 1, 1e9, "1e+05", "",
           "Of that weight."),
    NUMBER("tokenizer.reluctance_first", PROPERTY_F32, updates.reluctance_first, 0, 1, "0.05", "",
           "An item leaves its code of the first level only for one that is nearer by this share "
           "of the squared distance ..."),
    NUMBER("tokenizer.reluctance", PROPERTY_F32, updates.reluctance, 0, 1, "0.02", "",
           "... and so for the other levels."),
    NUMBER("tokenizer.reset_share", PROPERTY_F32, updates.reset_share, 0, 1, "0.05", "",
           "A code with less than this share of its level's mean count is nearly empty."),
    NUMBER("tokenizer.reset_versions", PROPERTY_U32, updates.reset_versions, 1, 1000000, "4",
           "versions",
           "Nearly empty for so long, it takes half of the level's worst cluster instead."),
    NUMBER("tokenizer.balance", PROPERTY_F32, updates.balance, 0, 1000, "0", "",
           "Codes of the last residual level with less than 1/balance of the mean count look "
           "closer than they are, down to half the squared distance. 0: none do."),
    NUMBER("tokenizer.sweep", PROPERTY_U32, updates.sweep, 0, 1048576, "1024", "items",
           "So many items, in turn, are held against the codebooks at the end of each click epoch, "
           "shown or not."),
    NUMBER("tokenizer.collision_tries", PROPERTY_U32, updates.collision_tries, 0,
           COLLISION_TRIES_MAX - 1, "0", "codes",
           "A listing whose semantic ID another item has tries so many other last codes, the "
           "nearest first. 0: items may share one."),

    NAME("model.variant", ranker.variant, ranker_variant_names, "full",
         "What the ranker knows of an item: its own row (id), its content vector (content), both, "
         "its row and its semantic ID (id+sid), the two fused (smile), row and content with a "
         "residual by semantic ID (savior), or everything (full)."),
    NAME("model.encoder", encoder, encoder_names, "pca",
         "How a listing's vectors become the vector that is quantised: principal components of the "
         "first listings (pca); or a projection that starts there and learns from clicks that "
         "follow one another (behaviour), in the shadow until it finds later ones better than the "
         "live one."),
    NUMBER("model.width", PROPERTY_U32, ranker.width, 4, 512, "32", "", "Width of embeddings."),
    NUMBER("model.history", PROPERTY_U32, ranker.history, 1, 500, "100", "items",
           "A user's last clicked items that the ranker attends to."),
    NUMBER("model.batch", PROPERTY_U32, ranker.batch, 1, 8192, "64", "events",
           "Events of a mini-batch: scored with the state at its start, then learned from. Smaller "
           "ones learn sooner and cost more."),
    LIST("model.hidden", ranker.hidden, 2, 1, 1024, "[64, 32]", "",
         "Widths of the network's two hidden layers."),
    NUMBER("model.prefix_rows", PROPERTY_U32, ranker.prefix_rows, 1, 16777216, "16384", "rows",
           "Rows of the table keyed by the first three codes together; more combinations than rows "
           "share rows."),
    NUMBER("model.rate_rows", PROPERTY_F32, ranker.rate_rows, 1e-6, 10, "0.1", "",
           "Learning rate of table rows (row-wise Adagrad on a batch's sum)."),
    NUMBER("model.rate_dense", PROPERTY_F32, ranker.rate_dense, 1e-6, 10, "0.05", "",
           "Learning rate of dense tensors (Adagrad on a batch's mean)."),
    NUMBER("model.accumulator_rows", PROPERTY_F32, ranker.accumulator_rows, 1e-12, 1000, "0.01", "",
           "First Adagrad accumulator of rows: larger is slower at first."),
    NUMBER("model.accumulator_dense", PROPERTY_F32, ranker.accumulator_dense, 1e-12, 1000, "1e-05",
           "", "First Adagrad accumulator of dense tensors."),
    NUMBER("model.init_rows", PROPERTY_F32, ranker.init_rows, 0, 10, "0.05", "",
           "Standard deviation of a code row's first values. An item's own row starts at 0."),
    NUMBER("model.sharpness", PROPERTY_F32, ranker.sharpness, 0.01, 100, "4", "",
           "First sharpness of the attention over a user's history; learned from there."),
    NAME("model.gate", ranker.gate, gate_names, "learned",
         "Of smile and full: how much of an item's vector is its own row rather than its codes' "
         "rows, learned from its counts and age (learned) or always one half (half)."),
    NUMBER("model.gate_hidden", PROPERTY_U32, ranker.gate_hidden, 1, 1024, "16", "",
           "Width of the gate's hidden layer."),
    NUMBER("model.kl_weight", PROPERTY_F32, ranker.kl_weight, 0, 100, "0.01", "",
           "Of smile and full: the loss that pulls a warm item's codes towards its row and a cold "
           "item's row towards its codes. 0: none."),
    NAME("model.opq", ranker.opq, switch_names, "on",
         "Of smile and full: the two codes of the last residual are part of an item's vector, "
         "and the contrast works on them."),
    NUMBER("model.opq_share", PROPERTY_F32, ranker.opq_share, 0, 100, "0.5", "",
           "Their weight in it."),
    NUMBER("model.contrast_weight", PROPERTY_F32, ranker.contrast_weight, 0, 100, "0.05", "",
           "Of smile and full: the loss that keeps items apart that share a prefix, and together "
           "that are near in the last residual. 0: none."),
    NAME("model.mba", ranker.mba, switch_names, "on",
         "Of savior and full: the residual on the content vector, from rows of its semantic ID "
         "that start at 0."),
    NAME("model.cross", ranker.cross, switch_names, "on",
         "Of savior and full: attention from content to behaviour and back, beside that within "
         "each."),

    NUMBER("encoder.pairs", PROPERTY_U32, learned.pairs, 64, 16777216, "32768", "pairs",
           "For model.encoder behaviour, as all of encoder.*: the newest pairs of a click and one "
           "of the same user's three before it are remembered."),
    NUMBER("encoder.popular_clicks", PROPERTY_F32, learned.popular_clicks, 1, 1e9, "1e+03",
           "clicks",
           "A pair is kept with probability p / (p + clicks of its less clicked item): what "
           "everybody clicks says little."),
    NUMBER("encoder.batch", PROPERTY_U32, learned.batch, 8, 4096, "256", "pairs",
           "Of a step: each pair's negatives are the others'."),
    NUMBER("encoder.steps", PROPERTY_U32, learned.steps, 0, 1024, "2", "steps", "Per click epoch."),
    NUMBER("encoder.rate", PROPERTY_F32, learned.rate, 1e-6, 10, "0.01", "",
           "Learning rate (Adagrad, one accumulator for each of the content's dims)."),
    NUMBER("encoder.temperature", PROPERTY_F32, learned.temperature, 0.01, 10, "0.2", "",
           "Of the contrast between pairs."),
    NUMBER("encoder.reconstruction_weight", PROPERTY_F32, learned.reconstruction_weight, 0, 100,
           "0.01", "", "Of the distance between z and what its codes make of it."),
    NUMBER("encoder.decoded_weight", PROPERTY_F32, learned.decoded_weight, 0, 100, "0.5", "",
           "Of the second contrast, on the pairs as their codes make them."),
    NUMBER("encoder.judge_epochs", PROPERTY_U32, learned.judge_epochs, 1, 1000000, "24",
           "click epochs",
           "Hit@30 of the shadow and of the live encoder, on the pairs that came since, every so "
           "many."),
    NUMBER("encoder.judge_pairs", PROPERTY_U32, learned.judge_pairs, 1, 1000000, "500", "pairs",
           "Judged before the shadow can be found better."),

    NAME("generation.release", generations.on, switch_names, "off",
         "Whether encoder and codebooks may be replaced by new ones while the stream goes on. For "
         "model.encoder behaviour the only way out of the shadow."),
    NUMBER("generation.check_epochs", PROPERTY_U32, generations.check_epochs, 1, 1000000, "8",
           "click epochs", "Between looks at whether a release is due."),
    NUMBER("generation.schedule_epochs", PROPERTY_U32, generations.schedule_epochs, 0, 100000000,
           "0", "click epochs",
           "One is due so long after the last one was complete. 0: not by the calendar."),
    NUMBER("generation.drift", PROPERTY_F32, generations.drift, 0, 1000, "1.3", "",
           "One is due when items lie farther from what their codes say, by this factor, than when "
           "the codebooks were new. 0: no matter."),
    NUMBER("generation.slice", PROPERTY_U32, generations.slice, 1, 1048576, "1024", "items",
           "So many items move to the new generation at the end of each click epoch."),
    NUMBER("generation.window_epochs", PROPERTY_U32, generations.window_epochs, 0, 100000000, "64",
           "click epochs",
           "The old generation's codebooks and rows stay for so long after the last item has "
           "moved: generation.hold can bring it back."),
    NUMBER("generation.hold", PROPERTY_U32, generations.hold, 0, 16777215, "0", "generation",
           "Stay at this generation, or go back to it while its rows are there. 0: no."),

    NUMBER("epoch.batches", PROPERTY_U32, stage.epoch_batches, 1, 1024, "128", "batches",
           "A click epoch (one transaction) closes at so many mini-batches ..."),
    NUMBER("epoch.events", PROPERTY_U32, stage.epoch_events_max, 1, 16777216, "65536", "events",
           "... or so many interactions, for streams where few of them give a sample ..."),
    NUMBER("epoch.bytes", PROPERTY_U32, stage.epoch_bytes_max, 65536, 1073741824, "67108864",
           "bytes",
           "... or so much memory of records that gather (each with about 1 KiB beside its bytes); "
           "so does an epoch of listings ..."),
    NUMBER("epoch.stream_ms", PROPERTY_I64, stage.epoch_stream_ms, 0, YEAR_MS, "0",
           "ms of stream time",
           "... or so long after its first event, though its last mini-batch is short then. 0: no "
           "such limit."),
    NUMBER("epoch.listings", PROPERTY_U32, stage.content_listings, 1, 65536, "256", "listings",
           "A content epoch takes at most so many listings that are there at once; it never waits "
           "for more."),

    NUMBER("labels.ahead_ms", PROPERTY_I64, stage.ahead_ms, 0, YEAR_MS, "86400000", "ms",
           "An event time so far past its record's timestamp is a producer's wrong clock: a dead "
           "letter."),
    NUMBER("labels.window_ms", PROPERTY_I64, stage.join_window_ms, 0, YEAR_MS, "1800000",
           "ms of event time",
           "A click within this after an impression of the same user, item and request makes it a "
           "positive; none makes it a negative."),
    NUMBER("labels.lateness_ms", PROPERTY_I64, stage.lateness_ms, 0, YEAR_MS, "60000",
           "ms of event time",
           "The watermark stays this far behind the latest event of a partition; older events are "
           "late."),
    NUMBER("labels.idle_ms", PROPERTY_I64, stage.idle_ms, 0, YEAR_MS, "600000", "ms of event time",
           "A partition this far behind the furthest one no longer holds the watermark back."),
    NUMBER("labels.waiting_impressions", PROPERTY_U32, stage.join_rows_max, 1, 268435456, "1048576",
           "rows", "Impressions that can wait for their click."),
    NUMBER("labels.negatives", PROPERTY_U32, stage.negatives, 0, 64, "4", "samples",
           "Sampled for each click where a stream has clicks only: no labels and no impressions."),
    NUMBER("labels.negatives_popular", PROPERTY_F32, stage.negatives_popular, 0, 1, "0.5", "share",
           "Of the sampled negatives, those drawn from recent clicks; the others are drawn from "
           "live listings evenly."),
    NUMBER("labels.popular_clicks", PROPERTY_U32, stage.popular_clicks, 1, 16777216, "20000",
           "clicks", "How many clicks count as recent for that."),
    NUMBER("labels.remembered_events", PROPERTY_U32, stage.duplicate_rows_max, 1, 268435456,
           "1048576", "rows",
           "Events with a request id that are remembered, so that the same one again is a dead "
           "letter instead of a second lesson."),

    NUMBER("parking.ms", PROPERTY_I64, stage.parking_ms, 0, YEAR_MS, "3600000", "ms of stream time",
           "An interaction whose item is not listed yet waits so long for the listing."),
    NAME("parking.policy", stage.parking_policy, policy_names, "apply",
         "Then it is learned by the item's id alone (apply) or becomes a dead letter (set-aside)."),
    NUMBER("parking.rows", PROPERTY_U32, stage.parking_rows_max, 1, 16777216, "65536", "rows",
           "Interactions that can wait; one more is a dead letter."),
    NUMBER("parking.bytes", PROPERTY_U32, stage.parking_bytes_max, 64, 1048576, "512", "bytes",
           "Of a waiting record's key and value each; a larger one is a dead letter."),

    NUMBER("evaluation.warmup_share", PROPERTY_F64, warmup_share, 0, 0.9, "0.1", "share",
           "Of the recording's interactions that the AUC figures leave out at the start."),
    NUMBER("evaluation.warmup_events", PROPERTY_U64, warmup_events, 0, 9007199254740992.0, "0",
           "events",
           "AUC and the other figures leave out so many labelled events at the start. 0: the share "
           "decides."),

    NUMBER_OF(
        REACH_RUN, "limits.items", PROPERTY_U32, items_max, 2, 67108864, "1048576", "rows",
        "Items known at one time. Address space is reserved for all, memory is used as they come."),
    NUMBER_OF(REACH_RUN, "limits.users", PROPERTY_U32, users_max, 1, 268435456, "2097152", "rows",
              "Users with a history."),
    NUMBER("limits.id_bytes", PROPERTY_U32, id_bytes_max, 8, 1024, "64", "bytes",
           "Of an item's or user's id; a longer one is a dead letter."),

    NUMBER("output.partitions", PROPERTY_U32, output_partitions, 1, 64, "1", "",
           "Of each output topic, except `epochs`, which has one."),
    NAME("output.compression", output_compression, compression_names, "none",
         "Of the output files' blocks."),

    WORDS_OF(REACH_RUN, "kafka.brokers", kafka_brokers, 0, 511, "\"\"",
             "Bootstrap servers, host:port with commas between. Only `run` needs them."),
    WORDS_OF(REACH_RUN, "kafka.prefix", kafka_prefix, 0, 63, "\"\"",
             "Of all topics: with shop. the inputs are shop.interactions and shop.item-content."),
    WORDS_OF(REACH_RUN, "kafka.application", kafka_application, 1, 63, "\"coldstream\"",
             "Group and transactional id. Instances of one stage share it; one of them leads."),
    NUMBER_OF(REACH_LIVE, "kafka.linger_ms", PROPERTY_U32, linger_ms, 1, 600000, "200", "ms",
              "A click epoch closes when its first interaction has waited so long, full or not. "
              "Listings never wait."),
    NUMBER_OF(
        REACH_RUN, "kafka.fetch_bytes", PROPERTY_U32, fetch_bytes, 65536, 1073741824, "67108864",
        "bytes",
        "Of each input, fetched and not yet taken into an epoch: then fetching waits until the "
        "stage has caught up."),
    NUMBER_OF(REACH_RUN, "kafka.produce_bytes", PROPERTY_U32, produce_bytes, 8388608, 1073741824,
              "67108864", "bytes",
              "Produced and not yet taken by the broker: then the stage waits."),
    NUMBER_OF(REACH_RUN, "kafka.session_timeout_ms", PROPERTY_U32, session_timeout_ms, 1000, 300000,
              "6000", "ms", "A leader that was killed is replaced after this."),
    NUMBER_OF(
        REACH_RUN, "kafka.transaction_timeout_ms", PROPERTY_U32, transaction_timeout_ms, 1000,
        900000, "15000", "ms",
        "The broker aborts the transaction of an instance that is gone after this; readers wait "
        "for it meanwhile."),
    NUMBER_OF(REACH_LIVE, "kafka.drain_s", PROPERTY_U32, drain_s, 1, 3600, "10", "s",
              "After SIGTERM or SIGINT: what was taken is committed within this, or the instance "
              "leaves as it is and the next one does it."),

    MAP_OF(REACH_RUN, "kafka.properties", kafka_properties,
           "Of librdkafka, for all clients: security.protocol, sasl.*, ssl.*, client.rack, "
           "compression.type ... Secrets by reference: `${env:NAME}`, `${file:/path}`. Those that "
           "exactly-once depends on are refused."),

    TOPIC("topics.item-content", TOPIC_ITEM_CONTENT, "item-content",
          "Its name, after kafka.prefix: listings."),
    TOPIC("topics.interactions", TOPIC_INTERACTIONS, "interactions", "Impressions and clicks."),
    TOPIC("topics.semantic-ids", TOPIC_SEMANTIC_IDS, "semantic-ids", "Items and their SIDs."),
    TOPIC("topics.ranker-deltas", TOPIC_RANKER_DELTAS, "ranker-deltas", "The ranker's rows."),
    TOPIC("topics.changelog", TOPIC_CHANGELOG, "changelog", "The stage's private state."),
    TOPIC("topics.codebooks", TOPIC_CODEBOOKS, "codebooks", "The centroids, level by level."),
    TOPIC("topics.epochs", TOPIC_EPOCHS, "epochs", "The manifests, one of each epoch."),
    TOPIC("topics.dead-letter", TOPIC_DEAD_LETTER, "dead-letter", "What could not be used."),
    TOPIC("topics.leader", TOPIC_COUNT, "leader",
          "No records: the instance that holds its partition leads."),
    NUMBER_OF(REACH_RUN, "topics.replication", PROPERTY_U32, topic_replication, 0, 32, "0",
              "replicas", "Of topics that are created. 0: the broker's default."),
    NUMBER_OF(REACH_RUN, "topics.segment_ms", PROPERTY_I64, topic_segment_ms, 100, YEAR_MS,
              "3600000", "ms",
              "Of compacted topics: a segment is closed after this, and only then compacted."),
    NUMBER_OF(REACH_RUN, "topics.segment_bytes", PROPERTY_I64, topic_segment_bytes, 1048576,
              2147483647, "134217728", "bytes", "... or when it is so large."),
    NUMBER_OF(REACH_RUN, "topics.dirty_ratio", PROPERTY_F64, topic_dirty_ratio, 0, 1, "0.3",
              "share", "Of a compacted topic's log, not compacted yet, before it is again."),
    NUMBER_OF(REACH_RUN, "topics.delete_retention_ms", PROPERTY_I64, topic_delete_retention_ms, 0,
              10 * YEAR_MS, "604800000", "ms",
              "Tombstones stay so long in compacted topics: a follower that is away for longer "
              "starts anew."),
    NUMBER_OF(REACH_RUN, "topics.retention_ms", PROPERTY_I64, topic_retention_ms, 0, 100 * YEAR_MS,
              "2592000000", "ms", "Of manifests and dead letters. 0: for ever."),

    WORDS_OF(REACH_RUN, "schema_registry.url", registry_url, 0, 255, "\"\"",
             "Of a Confluent-compatible registry, e.g. http://registry:8081: the schema ids in the "
             "inputs' records are looked up there. Empty: they are those of `schemas/`, 1 and 2."),
    WORDS_OF(REACH_RUN, "schema_registry.auth", registry_auth, 0, 255, "\"\"",
             "user:password for it, as a reference: `${env:NAME}` or `${file:/path}`."),

    NUMBER_OF(REACH_LIVE, "snapshot.epochs", PROPERTY_U32, snapshot_epochs, 0, 1000000, "256",
              "epochs",
              "A local snapshot every so many epochs, and at an orderly end, makes a restart or "
              "resume quicker; 0: none. The topics alone are enough."),
    WORDS_OF(
        REACH_RUN, "snapshot.folder", snapshot_folder, 0, 159, "\"\"",
        "Where `run` keeps its snapshot, each instance its own; empty: none. It is written beside "
        "the epochs by a child process, which needs memory for the rows that change meanwhile. "
        "A replay has it in its output folder."),

    WORDS_OF(
        REACH_RUN, "http.listen", http_listen, 0, 127, "\"\"",
        "Where `run` answers HTTP: its status page at /, /metrics for Prometheus, /healthz and "
        "/readyz (docs/HTTP.md), e.g. 127.0.0.1:9464, or :9464 for all addresses. Whoever can "
        "reach it sees titles and ids of items, and no user's. Empty: nowhere. A port that is "
        "taken stops the start."),

    NUMBER_OF(REACH_LIVE, "progress.interval_s", PROPERTY_F64, progress_s, 0.1, 3600, "5", "s",
              "Between lines of progress when stderr is no terminal."),

    NAME_OF(REACH_LIVE, "log.level", log_level, log_level_names, "info",
            "What is logged, to stderr: this level and those above it."),
    NAME_OF(REACH_LIVE, "log.format", log_format, log_format_names, "logfmt",
            "A line for each event, as logfmt or as JSON objects. Of one event at most 20 lines in "
            "ten seconds; the "
            "next one says how many were left out."),
};
const uint32_t property_count = sizeof properties / sizeof properties[0];
_Static_assert(sizeof properties / sizeof properties[0] <= PROPERTY_MAX, "PROPERTY_MAX");
