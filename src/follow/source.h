/* A feed with what it needs: a recording's files, or the topics of a broker. */
#ifndef FOLLOW_SOURCE_H
#define FOLLOW_SOURCE_H

#include "config/settings.h"
#include "follow/feed.h"

struct follow_source {
    struct arena arena; /* itself too */
    struct kafka_config kafka;
    struct recording_info info;
    struct codec *codec;
    struct feed feed; /* self NULL: none yet */
};

/* A finished recording's folder. FATAL EX_NOINPUT, EX_DATAERR. */
enum status follow_source_recording(struct follow_source **out, const char *folder,
                                    struct error *err);
/* The broker and the topics that the settings name. FATAL EX_CONFIG. */
enum status follow_source_kafka(struct follow_source **out, const struct settings *settings,
                                struct error *err);
void follow_source_close(struct follow_source *source);

#endif
