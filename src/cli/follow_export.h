/* `follow --export`: a view as files that other tools open. */
#ifndef CLI_FOLLOW_EXPORT_H
#define CLI_FOLLOW_EXPORT_H

#include "base/error.h"
#include "coldstream/coldstream.h"

/* Into the folder, which is made where it is absent: tables.safetensors, every table as a tensor whose row i is position i (rows that are not there are zero; sid.codes
 * -1), and items.csv, a line per item with its position and SID. Files that are there are replaced in one step. */
enum status follow_export(cs_follower *follower, cs_view *view, const char *folder,
                          struct error *err);

#endif
