/* One replay: the recording that is read, the effective settings, and the stage between. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "codec/codec.h"
#include "config/settings.h"
#include "transport/recording.h"
#include "transport/registry.h"

#define SESSION_TEXT_BYTES 16384

struct session {
    struct arena arena;
    struct settings settings; /* effective: sizes that the recording decides are filled in */
    char config_text[SESSION_TEXT_BYTES];
    const char *from, *to;
    struct recording_info info;
    uint64_t interactions; /* records of the recording's interactions */
    uint64_t listings;
    struct recorded_schema output_schemas[RECORDED_SCHEMAS_MAX]; /* of what a replay writes */
    uint32_t output_schema_count;
    struct codec *codec;
    struct registry *registry; /* NULL: none is configured */
    struct recording_source *source;
    struct stage *stage;
};

/* Reads recording.yaml, makes the codec, fixes the sizes that the recording decides, opens the source. `settings` is copied. */
enum status session_open(struct session *session, const struct settings *settings, const char *from,
                         const char *to, struct error *err);
/* The same for live topics: no recording, so content.dims must be set. */
enum status session_open_live(struct session *session, const struct settings *settings,
                              struct error *err);
/* The configuration of outputs that are there already, in place of the session's own; limits stay. `name` is its origin, for messages. */
enum status session_adopt(struct session *session, const char *config_text, const char *name,
                          struct error *err);
/* The same for the outputs of a finished replay: `dir` is from and to, the settings are the caller's to find. */
enum status session_open_outputs(struct session *session, const char *dir, struct error *err);
/* The stage between a source and a sink. */
enum status session_stage(struct session *session, struct source_port source, struct sink_port sink,
                          struct error *err);
void session_close(struct session *session);

/* What the stage writes: partitions of each output topic, schemas. */
void session_writer_config(const struct session *session, struct recording_writer_config *out);

#endif
