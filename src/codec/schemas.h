/* The schemas that ship with the stage (schemas/x.avsc), and whose field is which. */
#ifndef CODEC_SCHEMAS_H
#define CODEC_SCHEMAS_H

#include "codec/codec.h"

#define SCHEMA_COUNT (SCHEMA_EPOCHS_VALUE + 1) /* ids are 1 .. SCHEMA_COUNT - 1 */
#define FIELDS_MAX 16

/* Indices of fields, in the order of schemas/x.avsc; a test holds names and indices together. */
enum {
    INTERACTION_USER_ID,
    INTERACTION_ITEM_ID,
    INTERACTION_EVENT_TIME,
    INTERACTION_ACTION,
    INTERACTION_LABEL,
    INTERACTION_REQUEST_ID,
    INTERACTION_POSITION,
    INTERACTION_CONTEXT
};
enum { CONTENT_ITEM_ID, CONTENT_EVENT_TIME, CONTENT_MODALITIES, CONTENT_TEXT, CONTENT_ATTRIBUTES };
enum { MODALITY_NAME, MODALITY_VECTOR };
enum {
    SID_ITEM_ID,
    SID_CODES_FIELD,
    SID_GENERATION_FIELD,
    SID_CODEBOOK_VERSION,
    SID_EPOCH,
    SID_ASSIGNED_EPOCH,
    SID_PREVIOUS,
    SID_REASON,
    SID_ERROR,
    SID_EVENT_TIME,
    SID_POSITION,
    SID_VERSION
};
enum { ROW_KEY_TABLE, ROW_KEY_KEY };
enum { ROW_POSITION, ROW_VERSION, ROW_EPOCH, ROW_GENERATION, ROW_VALUE };
enum { CODEBOOK_KEY_GENERATION, CODEBOOK_KEY_LEVEL, CODEBOOK_KEY_CODE };
enum { CODEBOOK_POSITION, CODEBOOK_VERSION, CODEBOOK_EPOCH, CODEBOOK_GENERATION, CODEBOOK_VECTOR };
enum { EPOCH_KEY_EPOCH };
enum {
    EPOCH_EPOCH,
    EPOCH_KIND,
    EPOCH_TIMESTAMP,
    EPOCH_WATERMARK,
    EPOCH_GENERATION,
    EPOCH_CODEBOOK_VERSION,
    EPOCH_COUNTS,
    EPOCH_INPUTS,
    EPOCH_ENDS,
    EPOCH_TABLES,
    EPOCH_BATCHES,
    EPOCH_STATE,
    EPOCH_BUILD,
    EPOCH_BLAS_CORE,
    EPOCH_CONFIG_HASH,
    EPOCH_CONFIG
};

/* Which of our schemas stands behind a subject ("interactions-value"); false for a subject that the
 * stage does not use. */
bool schema_of_subject(const char *subject, enum schema_id *out);
const char *schema_json(enum schema_id id);
/* For messages: "interactions-value", "ranker-deltas-key". */
const char *schema_subject(enum schema_id id);
/* The schema of the records in a recording's files. */
const char *schema_recording_json(void);

#endif
