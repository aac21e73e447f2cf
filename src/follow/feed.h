/* Where a follower's records come from: the public topics' partitions, numbered 0, 1, ... ("slots"), that of the manifests last. */
#ifndef FOLLOW_FEED_H
#define FOLLOW_FEED_H

#include "codec/codec.h"
#include "transport/kafka.h"
#include "transport/recording.h"

#define FEED_BEGINNING INT64_MIN

/* The public topics that have rows, in the order of their slots; TOPIC_EPOCHS comes after them. */
#define FEED_TOPICS 4
extern const enum topic feed_topics[FEED_TOPICS];

/* Statuses as in transport/kafka.h; BAD_RECORD: the log does not have a position any more, begin anew. */
struct feed {
    void *self;
    uint32_t slots;
    /* From these offsets on [slots]; FEED_BEGINNING: from what there is. */
    enum status (*start)(void *self, const int64_t *from, struct error *err);
    /* The next record, or *got = false: nothing for wait_ms. *slot: whose it is, or whose position has moved without one; UINT32_MAX: no news. */
    enum status (*next)(void *self, uint32_t wait_ms, struct record *out, bool *got, uint32_t *slot,
                        struct error *err);
    /* All before this offset of the slot has come. */
    int64_t (*at)(void *self, uint32_t slot);
    bool (*slot)(void *self, enum topic topic, int32_t partition, uint32_t *slot);
    /* Marks where the log ends now; share: of the way from the start to there, 1 only at all ends. */
    enum status (*capture)(void *self, struct error *err);
    double (*share)(void *self);
    bool (*ended)(void *self); /* NULL: never */
    /* Where the manifest of the last epoch is (FEED_BEGINNING: there is none, or from the first on), and the last configuration that a manifest tells, copied into
     * `arena`; NULL when none does. */
    enum status (*look)(void *self, struct codec *codec, struct arena *arena, int64_t *last,
                        const char **config, struct error *err);
    void (*close)(void *self);
};

/* A finished recording, epoch by epoch in the order of its manifests. `info` and `codec` are borrowed. */
enum status recorded_feed_open(struct feed *out, const char *dir, const struct recording_info *info,
                               struct codec *codec, struct error *err);
/* `config` is borrowed. FATAL EX_UNAVAILABLE: the topics are not there. */
enum status kafka_feed_open(struct feed *out, const struct kafka_config *config, struct error *err);

#endif
