#include "cli/market_words.h"

const char *const market_topic_words[MARKET_TOPICS] = {
    "garden", "kitchen", "bath", "office", "camping", "music",   "baby",   "winter",
    "bike",   "party",   "pet",  "art",    "tea",     "bedroom", "hiking", "game"};
const char *const market_nouns[MARKET_TASTES] = {
    "lamp",    "bench",   "spade",    "planter",  /* garden */
    "kettle",  "pan",     "knife",    "bowl",     /* kitchen */
    "towel",   "mirror",  "soap",     "rug",      /* bath */
    "desk",    "chair",   "stapler",  "notebook", /* office */
    "tent",    "stove",   "lantern",  "hammock",  /* camping */
    "guitar",  "drum",    "flute",    "speaker",  /* music */
    "cot",     "bib",     "rattle",   "pram",     /* baby */
    "scarf",   "coat",    "glove",    "boot",     /* winter */
    "helmet",  "pump",    "saddle",   "bell",     /* bike */
    "balloon", "candle",  "banner",   "crown",    /* party */
    "leash",   "basket",  "feeder",   "ball",     /* pet */
    "easel",   "brush",   "canvas",   "frame",    /* art */
    "pot",     "cup",     "tray",     "tin",      /* tea */
    "pillow",  "quilt",   "wardrobe", "curtain",  /* bedroom */
    "pack",    "compass", "flask",    "map",      /* hiking */
    "puzzle",  "dice",    "board",    "cards",    /* game */
};
const char *const market_materials[MARKET_MATERIALS] = {"copper", "oak",    "linen",  "glass",
                                                        "steel",  "bamboo", "marble", "wool",
                                                        "paper",  "silver", "rattan", "clay"};
