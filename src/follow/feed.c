#include "follow/feed.h"

const enum topic feed_topics[FEED_TOPICS] = {TOPIC_RANKER_DELTAS, TOPIC_CODEBOOKS,
                                             TOPIC_SEMANTIC_IDS, TOPIC_EPOCHS};
