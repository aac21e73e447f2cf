/* More of one file's reader, for recording_source. */
#ifndef TRANSPORT_READER_H
#define TRANSPORT_READER_H

#include "transport/recording.h"

/* The next record is the first whose offset is at or past `offset`, damage included. */
void recording_reader_seek(struct recording_reader *reader, int64_t offset);

#endif
