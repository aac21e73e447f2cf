#include "codec/wire.h"
#include "codec/varint.h"

#include "base/poison.h"

#define STEPS_MAX 4096
#define DEPTH_MAX 32
/* What one decoded value costs Avro C at most, its text aside: the generic value, the resolver's
 * shadow of it, the wrapped buffer, and the slack of arrays that double. */
#define VALUE_BYTES ((size_t)128)

enum step_kind {
    STEP_VARINT,
    STEP_INT,
    STEP_ENUM,
    STEP_FIXED,
    STEP_BYTES,
    STEP_ARRAY,
    STEP_MAP,
    STEP_UNION,
    STEP_RECORD
};

struct step {
    enum step_kind kind;
    uint32_t size;         /* FIXED: bytes; ENUM: symbols; UNION: branches; RECORD: fields */
    const uint16_t *child; /* ARRAY, MAP: one; UNION, RECORD: `size` of them; indices into steps */
    avro_schema_t schema;  /* while compiling: to find a record that is named again */
};

struct wire {
    uint32_t count;
    struct step *steps;
};

struct compiler {
    struct wire *wire;
    struct arena *arena;
    struct error *err;
};

static enum status compile(struct compiler *c, avro_schema_t schema, uint32_t depth, uint16_t *out);

static enum status compile_children(struct compiler *c, struct step *step, uint32_t count,
                                    uint32_t depth) {
    uint16_t *child = arena_alloc(c->arena, sizeof *child * (count + 1));
    if (child == NULL || count > STEPS_MAX)
        return FAIL(c->err, FATAL, EX_DATAERR, "the schema has more than %d parts", STEPS_MAX);
    step->child = child;
    for (uint32_t i = 0; i < count; i++) {
        avro_schema_t part;
        if (step->kind == STEP_RECORD)
            part = avro_schema_record_field_get_by_index(step->schema, (int)i);
        else if (step->kind == STEP_UNION)
            part = avro_schema_union_branch(step->schema, (int)i);
        else if (step->kind == STEP_MAP)
            part = avro_schema_map_values(step->schema);
        else
            part = avro_schema_array_items(step->schema);
        TRY(compile(c, part, depth + 1, &child[i]));
    }
    return OK;
}

static void describe(struct step *step, avro_schema_t schema, uint32_t *children) {
    *children = 0;
    switch (avro_typeof(schema)) {
    case AVRO_NULL:
        *step = (struct step){.kind = STEP_FIXED, .size = 0};
        break;
    case AVRO_BOOLEAN:
        *step = (struct step){.kind = STEP_FIXED, .size = 1};
        break;
    case AVRO_FLOAT:
        *step = (struct step){.kind = STEP_FIXED, .size = 4};
        break;
    case AVRO_DOUBLE:
        *step = (struct step){.kind = STEP_FIXED, .size = 8};
        break;
    case AVRO_FIXED:
        *step = (struct step){.kind = STEP_FIXED, .size = (uint32_t)avro_schema_fixed_size(schema)};
        break;
    case AVRO_INT32:
        *step = (struct step){.kind = STEP_INT};
        break;
    case AVRO_ENUM:
        *step = (struct step){.kind = STEP_ENUM,
                              .size = (uint32_t)avro_schema_enum_number_of_symbols(schema)};
        break;
    case AVRO_BYTES:
    case AVRO_STRING:
        *step = (struct step){.kind = STEP_BYTES};
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        *step = (struct step){.kind = avro_typeof(schema) == AVRO_MAP ? STEP_MAP : STEP_ARRAY};
        *children = 1;
        break;
    case AVRO_UNION:
        *children = (uint32_t)avro_schema_union_size(schema);
        *step = (struct step){.kind = STEP_UNION, .size = *children};
        break;
    case AVRO_RECORD:
        *children = (uint32_t)avro_schema_record_size(schema);
        *step = (struct step){.kind = STEP_RECORD, .size = *children};
        break;
    default:
        *step = (struct step){.kind = STEP_VARINT};
        break;
    }
    step->schema = schema;
}

static enum status compile(struct compiler *c, avro_schema_t schema, uint32_t depth,
                           uint16_t *out) {
    struct wire *wire = c->wire;
    while (is_avro_link(schema))
        schema = avro_schema_link_target(schema);
    for (uint32_t i = 0; i < wire->count; i++)
        if (wire->steps[i].schema == schema && wire->steps[i].kind == STEP_RECORD) {
            *out = (uint16_t)i;
            return OK;
        }
    if (wire->count == STEPS_MAX || depth == DEPTH_MAX)
        return FAIL(c->err, FATAL, EX_DATAERR, "the schema has more than %d parts or %d levels",
                    STEPS_MAX, DEPTH_MAX);
    *out = (uint16_t)wire->count;
    struct step *step = &wire->steps[wire->count++];
    uint32_t children;
    describe(step, schema, &children);
    return compile_children(c, step, children, depth);
}

enum status wire_create(struct wire **out, avro_schema_t schema, struct arena *arena,
                        struct error *err) {
    struct wire *wire = arena_alloc(arena, sizeof *wire);
    struct step *steps = arena_alloc(arena, sizeof *steps * STEPS_MAX);
    if (wire == NULL || steps == NULL)
        return FAIL(err, FATAL, EX_DATAERR, "the schemas take more than %zu bytes",
                    arena->reserved);
    *wire = (struct wire){.steps = steps};
    struct compiler compiler = {.wire = wire, .arena = arena, .err = err};
    uint16_t root;
    TRY(compile(&compiler, schema, 0, &root));
    *out = wire;
    return OK;
}

/* ---- checking ---- */

struct cursor {
    const struct step *steps;
    const uint8_t *at, *end;
    size_t memory_left;
    const char *wrong;
};

static bool wrong(struct cursor *c, const char *what) {
    c->wrong = what;
    return false;
}

static bool skip(struct cursor *c, uint64_t bytes) {
    if (bytes > (size_t)(c->end - c->at))
        return wrong(c, "it ends too early");
    c->at += bytes;
    return true;
}

static bool pay(struct cursor *c, uint64_t values, uint64_t bytes) {
    if (values > c->memory_left / VALUE_BYTES || bytes > c->memory_left - values * VALUE_BYTES)
        return wrong(c, "it would need more memory than the codec's limit");
    c->memory_left -= values * VALUE_BYTES + bytes;
    return true;
}

static bool number(struct cursor *c, int64_t *out) {
    if (varint_get(&c->at, c->end, out))
        return true;
    return wrong(c, c->at == c->end ? "it ends too early" : "a number has more than 64 bits");
}

static bool check_bytes(struct cursor *c) {
    int64_t len;
    if (!number(c, &len))
        return false;
    if (len < 0 || len > c->end - c->at)
        return wrong(c, "a length is negative or more than what is left");
    c->at += len;
    return pay(c, 1, (uint64_t)len);
}

static bool check(struct cursor *c, const struct step *step, uint32_t depth);

/* Arrays and maps come in blocks, each with a count; a negative count is followed by the block's
 * length in bytes. */
static bool check_blocks(struct cursor *c, const struct step *step, uint32_t depth) {
    const struct step *item = &c->steps[step->child[0]];
    int64_t count, bytes;
    for (;;) {
        if (!number(c, &count))
            return false;
        if (count == 0)
            return true;
        if (count < 0) {
            if (count == INT64_MIN || !number(c, &bytes))
                return wrong(c, "a block has no sane length");
            count = -count;
        }
        if (step->kind == STEP_ARRAY && item->kind == STEP_FIXED && item->size > 0) {
            if ((uint64_t)count > (uint64_t)(c->end - c->at) / item->size)
                return wrong(c, "an array has more items than what is left can hold");
            c->at += (size_t)count * item->size;
            if (!pay(c, (uint64_t)count, 0))
                return false;
            continue;
        }
        for (int64_t i = 0; i < count; i++) {
            if (step->kind == STEP_MAP && !check_bytes(c))
                return false;
            if (!pay(c, 1, 0) || !check(c, item, depth + 1))
                return false;
        }
    }
}

static bool check(struct cursor *c, const struct step *step, uint32_t depth) {
    int64_t value;
    if (depth > DEPTH_MAX)
        return wrong(c, "it is nested too deeply");
    switch (step->kind) {
    case STEP_FIXED:
        return skip(c, step->size);
    case STEP_VARINT:
        return number(c, &value);
    case STEP_INT:
        if (!number(c, &value))
            return false;
        return (value >= INT32_MIN && value <= INT32_MAX) ||
               wrong(c, "an int has more than 32 bits");
    case STEP_BYTES:
        return check_bytes(c);
    case STEP_ENUM:
    case STEP_UNION:
        if (!number(c, &value))
            return false;
        if (value < 0 || value >= step->size)
            return wrong(c, step->kind == STEP_ENUM ? "an enum has no such symbol"
                                                    : "a union has no such branch");
        return step->kind == STEP_ENUM || check(c, &c->steps[step->child[value]], depth + 1);
    case STEP_ARRAY:
    case STEP_MAP:
        return check_blocks(c, step, depth);
    case STEP_RECORD:
        if (!pay(c, step->size, 0))
            return false;
        for (uint32_t i = 0; i < step->size; i++)
            if (!check(c, &c->steps[step->child[i]], depth + 1))
                return false;
        return true;
    }
    return wrong(c, "the schema is of no known type");
}

const char *wire_check(const struct wire *wire, struct bytes data, size_t memory_max,
                       size_t *used) {
    struct cursor cursor = {.steps = wire->steps,
                            .at = data.data,
                            .end = data.data + data.len,
                            .memory_left = memory_max};
    check(&cursor, &wire->steps[0], 0);
    *used = (size_t)(cursor.at - data.data);
    return cursor.wrong;
}
