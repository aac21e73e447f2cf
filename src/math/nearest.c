#include "math/nearest.h"

#include "math/simd.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LANES = 32, ROWS = 6, PANEL = 64, GROUP = 4, BLOCK = 64 };

SIMD_CLONES
float squared_distance(const float *a, const float *b, uint32_t dims) {
    float lane[LANES] = {0};
    uint32_t whole = dims - dims % LANES;
    for (uint32_t i = 0; i < whole; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
    for (uint32_t j = 0; j < dims - whole; j++)
        lane[j] += (a[whole + j] - b[whole + j]) * (a[whole + j] - b[whole + j]);
    for (uint32_t half = LANES / 2; half > 0; half /= 2)
        for (uint32_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

SIMD_CLONES
static float largest_entry(const float *v, uint32_t dims) {
    /* As integers, the bits of non-negative floats have the same order, and integer maxima
     * vectorise. */
    uint32_t largest = 0;
    for (uint32_t i = 0; i < dims; i++) {
        uint32_t bits;
        memcpy(&bits, v + i, sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    float entry;
    memcpy(&entry, &largest, sizeof entry);
    return entry;
}

/* q [dims] = round(v / scale), in -127 .. 127 because scale is at least the largest |entry| / 127.
 * Returns their sum. */
SIMD_CLONES
static int32_t round_to_8_bits(const float *restrict v, uint32_t dims, float scale,
                               int8_t *restrict q) {
    const float magic = 12582912; /* 1.5 * 2^23: adding it drops the fraction */
    const float inverse =
        scale >= FLT_MIN ? 1 / scale : 0; /* never infinite; then all is lost, and counted */
    int32_t sum = 0;
    for (uint32_t i = 0; i < dims; i++)
        q[i] = (int8_t)(v[i] * inverse + magic - magic);
    for (uint32_t i = 0; i < dims; i++)
        sum += q[i];
    return sum;
}

/* Squared norms of a block of v, and of what scale * q leaves of it. */
SIMD_CLONES
static void squared_norms(const float *restrict v, uint32_t dims, float scale,
                          const int8_t *restrict q, float out[2]) {
    float norm[LANES] = {0}, lost[LANES] = {0};
    uint32_t whole = dims - dims % LANES;
    for (uint32_t i = 0; i < whole; i += LANES)
        for (uint32_t j = 0; j < LANES; j++) {
            float rest = v[i + j] - scale * (float)q[i + j];
            norm[j] += v[i + j] * v[i + j];
            lost[j] += rest * rest;
        }
    for (uint32_t i = whole; i < dims; i++) {
        float rest = v[i] - scale * (float)q[i];
        norm[i - whole] += v[i] * v[i];
        lost[i - whole] += rest * rest;
    }
    for (uint32_t half = LANES / 2; half > 0; half /= 2)
        for (uint32_t j = 0; j < half; j++) {
            norm[j] += norm[j + half];
            lost[j] += lost[j + half];
        }
    out[0] = norm[0];
    out[1] = lost[0];
}

/* What rounding a vector to 8 bits kept and lost. */
struct rounded {
    float scale;                /* the vector is about scale * q */
    int32_t sum;                /* of q */
    double square;              /* |v|^2, within 16 * 2^-24 of itself */
    struct nearest_norms norms; /* of all */
};

/* Rounds v into q and bounds the norms of its blocks. Norms are taken in float, so they are made a
 * little larger: 2^-9 is far more than the rounding of 64 terms, the product scale * q was off by
 * 2^-24 of |v|, and 2^-60 covers underflow. */
static struct rounded round_vector(const float *v, uint32_t dims, int8_t *q,
                                   struct nearest_norms *blocks) {
    float entry = largest_entry(v, dims);
    ASSERT(isfinite(entry));
    struct rounded r = {.scale = entry / 127};
    r.sum = round_to_8_bits(v, dims, r.scale, q);
    double lost = 0;
    for (uint32_t start = 0; start < dims; start += BLOCK, blocks++) {
        float squares[2];
        squared_norms(v + start, dims - start < BLOCK ? dims - start : BLOCK, r.scale, q + start,
                      squares);
        blocks->norm = sqrt((double)squares[0]) * (1 + 0x1p-9) + 0x1p-60;
        blocks->rounding =
            sqrt((double)squares[1]) * (1 + 0x1p-9) + 0x1p-22 * blocks->norm + 0x1p-60;
        r.square += (double)squares[0];
        r.norms.norm += blocks->norm * blocks->norm;
        lost += blocks->rounding * blocks->rounding;
    }
    r.norms.norm = sqrt(r.norms.norm);
    r.norms.rounding = sqrt(lost);
    return r;
}

enum status nearest_create(struct nearest *nearest, const float *centroids, uint32_t count,
                           uint32_t dims, struct arena *arena, struct error *err) {
    ASSERT(count > 0 && count <= NEAREST_CODES_MAX && dims > 0 && dims <= NEAREST_DIMS_MAX);
    uint32_t panels = (count + PANEL - 1) / PANEL, groups = (dims + GROUP - 1) / GROUP;
    uint32_t blocks = (dims + BLOCK - 1) / BLOCK;
    size_t codes = (size_t)panels * PANEL, padded_dims = (size_t)groups * GROUP;
    *nearest =
        (struct nearest){.centroids = centroids,
                         .count = count,
                         .dims = dims,
                         .panels = panels,
                         .groups = groups,
                         .packed = arena_alloc(arena, codes * padded_dims),
                         .scales = arena_alloc(arena, codes * sizeof(float)),
                         .half_norms = arena_alloc(arena, codes * sizeof(float)),
                         .blocks = blocks,
                         .largest = arena_alloc(arena, blocks * sizeof(struct nearest_norms)),
                         .norms = arena_alloc(arena, blocks * sizeof(struct nearest_norms)),
                         .rows = arena_alloc(arena, ROWS * padded_dims),
                         .scores = arena_alloc(arena, ROWS * codes * sizeof(float))};
    if (!nearest->packed || !nearest->scales || !nearest->half_norms || !nearest->largest ||
        !nearest->norms || !nearest->rows || !nearest->scores)
        return FAIL(err, FATAL, EX_OSERR,
                    "arena %s (%zu bytes) has no room for a codebook of %u x %u: raise its limit",
                    arena->name, arena->reserved, count, dims);
    memset(nearest->rows, 0, ROWS * padded_dims);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"))
        nearest->kernel = NEAREST_VNNI;
    else if (__builtin_cpu_supports("avx2"))
        nearest->kernel = NEAREST_AVX2;
#endif
    return OK;
}

static float half_square(const float *c, uint32_t dims) {
    double square = 0;
    for (uint32_t i = 0; i < dims; i++)
        square += (double)c[i] * (double)c[i];
    return (float)(square / 2);
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

void nearest_refresh(struct nearest *nearest) {
    uint32_t dims = nearest->dims;
    size_t panel_bytes = (size_t)nearest->groups * PANEL * GROUP;
    nearest->norm_max = nearest->rounding_max = 0;
    memset(nearest->largest, 0, nearest->blocks * sizeof *nearest->largest);
    memset(nearest->packed, 128, nearest->panels * panel_bytes);
    for (uint32_t k = 0; k < nearest->panels * PANEL; k++) {
        nearest->half_norms[k] = INFINITY;
        nearest->scales[k] = 0;
    }
    for (uint32_t k = 0; k < nearest->count; k++) {
        const float *centroid = nearest->centroids + (size_t)k * dims;
        struct rounded c = round_vector(centroid, dims, nearest->rows, nearest->norms);
        uint8_t *at = nearest->packed + k / PANEL * panel_bytes + k % PANEL * GROUP;
        for (uint32_t i = 0; i < dims; i++)
            at[i / GROUP * PANEL * GROUP + i % GROUP] = (uint8_t)(nearest->rows[i] + 128);
        nearest->scales[k] = c.scale;
        nearest->half_norms[k] = half_square(centroid, dims);
        for (uint32_t b = 0; b < nearest->blocks; b++) {
            struct nearest_norms *largest = &nearest->largest[b];
            largest->norm = larger(largest->norm, nearest->norms[b].norm);
            largest->rounding = larger(largest->rounding, nearest->norms[b].rounding);
        }
        nearest->norm_max = larger(nearest->norm_max, c.norms.norm);
        nearest->rounding_max = larger(nearest->rounding_max, c.norms.rounding);
    }
}

/* The score of code k is half_norms[k] - scale * (sum_i packed_ki q_i - offset) * scales[k]: about
 * |v - c_k|^2 / 2 - |v|^2 / 2. */
struct screen {
    float scale[ROWS];
    int32_t offset[ROWS];
};

static void screen_anywhere(const struct nearest *nearest, const struct screen *screen) {
    size_t row_bytes = (size_t)nearest->groups * GROUP,
           row_scores = (size_t)nearest->panels * PANEL;
    for (uint32_t p = 0; p < nearest->panels; p++)
        for (uint32_t m = 0; m < ROWS; m++) {
            const uint8_t *packed = nearest->packed + p * row_bytes * PANEL;
            const int8_t *q = nearest->rows + m * row_bytes;
            int32_t dot[PANEL] = {0};
            for (uint32_t g = 0; g < nearest->groups; g++, packed += PANEL * GROUP, q += GROUP)
                for (uint32_t k = 0; k < PANEL; k++)
                    dot[k] += packed[4 * k] * q[0] + packed[4 * k + 1] * q[1] +
                              packed[4 * k + 2] * q[2] + packed[4 * k + 3] * q[3];
            float *scores = nearest->scores + m * row_scores + p * PANEL;
            for (uint32_t k = 0; k < PANEL; k++)
                scores[k] = nearest->half_norms[p * PANEL + k] -
                            screen->scale[m] * (float)(dot[k] - screen->offset[m]) *
                                nearest->scales[p * PANEL + k];
        }
}

#if defined(__x86_64__)
/* 8 codes and 2 rows at a time: bytes 0, 2 and 1, 3 of each group as pairs of 16-bit integers. */
__attribute__((target("avx2"))) static void screen_avx2(const struct nearest *nearest,
                                                        const struct screen *screen) {
    enum { WIDE = 8, PAIR = 2 };
    size_t row_bytes = (size_t)nearest->groups * GROUP,
           row_scores = (size_t)nearest->panels * PANEL;
    for (size_t k = 0; k < row_scores; k += WIDE)
        for (size_t m = 0; m < ROWS; m += PAIR) {
            const uint8_t *packed =
                nearest->packed + k / PANEL * PANEL * row_bytes + k % PANEL * GROUP;
            const int8_t *q = nearest->rows + m * row_bytes, *end = q + row_bytes;
            __m256i dot[PAIR] = {_mm256_set1_epi32(-screen->offset[m]),
                                 _mm256_set1_epi32(-screen->offset[m + 1])};
            for (; q < end; q += GROUP, packed += PANEL * GROUP) {
                __m256i codes = _mm256_loadu_si256((const __m256i *)packed);
                __m256i even = _mm256_and_si256(codes, _mm256_set1_epi16(255)),
                        odd = _mm256_srli_epi16(codes, 8);
                for (size_t pair = 0; pair < PAIR; pair++) {
                    int32_t four;
                    memcpy(&four, q + pair * row_bytes, sizeof four);
                    __m256i row = _mm256_set1_epi32(four);
                    __m256i row_even = _mm256_srai_epi16(_mm256_slli_epi16(row, 8), 8);
                    __m256i both =
                        _mm256_add_epi32(_mm256_madd_epi16(even, row_even),
                                         _mm256_madd_epi16(odd, _mm256_srai_epi16(row, 8)));
                    dot[pair] = _mm256_add_epi32(dot[pair], both);
                }
            }
            for (size_t pair = 0; pair < PAIR; pair++) {
                __m256 product = _mm256_mul_ps(_mm256_set1_ps(screen->scale[m + pair]),
                                               _mm256_cvtepi32_ps(dot[pair]));
                product = _mm256_mul_ps(product, _mm256_loadu_ps(nearest->scales + k));
                _mm256_storeu_ps(nearest->scores + (m + pair) * row_scores + k,
                                 _mm256_sub_ps(_mm256_loadu_ps(nearest->half_norms + k), product));
            }
        }
}

/* 16 integers. GCC 12 keeps sums of type __m512i, to it 8 long integers, in memory: at half the
 * speed. */
typedef int32_t sums __attribute__((vector_size(64)));

/* The sums of 6 rows x 64 codes stay in 24 of the 32 vector registers. */
__attribute__((target("avx512f,avx512vnni"))) static void screen_vnni(const struct nearest *nearest,
                                                                      const struct screen *screen) {
    enum { WIDE = PANEL / 16 };
    size_t row_bytes = (size_t)nearest->groups * GROUP,
           row_scores = (size_t)nearest->panels * PANEL;
    const uint8_t *packed = nearest->packed;
    for (size_t p = 0; p < nearest->panels; p++) {
        sums dot[ROWS][WIDE];
#pragma GCC unroll 6
        for (int m = 0; m < ROWS; m++)
#pragma GCC unroll 4
            for (int w = 0; w < WIDE; w++)
                dot[m][w] = (sums)_mm512_set1_epi32(-screen->offset[m]);
        const int8_t *end = nearest->rows + row_bytes;
        for (const int8_t *q = nearest->rows; q < end; q += GROUP, packed += PANEL * GROUP) {
            __m512i codes[WIDE];
#pragma GCC unroll 4
            for (int w = 0; w < WIDE; w++)
                codes[w] = _mm512_loadu_si512(packed + w * 64);
#pragma GCC unroll 6
            for (int m = 0; m < ROWS; m++) {
                int32_t four;
                memcpy(&four, q + (size_t)m * row_bytes, sizeof four);
                __m512i row = _mm512_set1_epi32(four);
#pragma GCC unroll 4
                for (int w = 0; w < WIDE; w++)
                    dot[m][w] = (sums)_mm512_dpbusd_epi32((__m512i)dot[m][w], codes[w], row);
            }
        }
#pragma GCC unroll 6
        for (int m = 0; m < ROWS; m++)
#pragma GCC unroll 4
            for (int w = 0; w < WIDE; w++) {
                size_t at = p * PANEL + (size_t)w * 16;
                __m512 product = _mm512_mul_ps(_mm512_set1_ps(screen->scale[m]),
                                               _mm512_cvtepi32_ps((__m512i)dot[m][w]));
                product = _mm512_mul_ps(product, _mm512_loadu_ps(nearest->scales + at));
                _mm512_storeu_ps(nearest->scores + (size_t)m * row_scores + at,
                                 _mm512_sub_ps(_mm512_loadu_ps(nearest->half_norms + at), product));
            }
    }
}
#endif

static void screen_codes(const struct nearest *nearest, const struct screen *screen) {
    switch (nearest->kernel) {
#if defined(__x86_64__)
    case NEAREST_VNNI:
        screen_vnni(nearest, screen);
        return;
    case NEAREST_AVX2:
        screen_avx2(nearest, screen);
        return;
#endif
    default:
        screen_anywhere(nearest, screen);
    }
}

/* How far a score can lie from |v - c|^2 / 2 - |v|^2 / 2 for the squared_distance() and the |v|^2
 * that we compute. With v = s q + a and c = t p + b (a, b: what rounding lost), v.c - s t q.p =
 * s q.b + a.c, of which each block of dimensions contributes at most (|v| + |a|) |b| + |a| |c| of
 * its own norms. To that comes float rounding, in units of 2^-24: of the scores (fewer than 16
 * operations on terms no larger than these), of squared_distance() (dims / 32 + 8 on each of its
 * terms), and of |v|^2 (16). */
static double error_bound(const struct nearest *nearest, const struct rounded *v) {
    const double unit = 0x1p-24;
    double integers = 0;
    for (uint32_t i = 0; i < nearest->blocks; i++) {
        struct nearest_norms c = nearest->largest[i], x = nearest->norms[i];
        integers += (x.norm + x.rounding) * c.rounding + x.rounding * c.norm;
    }
    double c = nearest->norm_max, together = v->norms.norm + c;
    double scores = c * c / 2 + (v->norms.norm + v->norms.rounding) * (c + nearest->rounding_max);
    double distance = (nearest->dims / LANES + 16) * together * together / 2;
    double rounding = unit * (16 * scores + distance + 16 * v->norms.norm * v->norms.norm);
    return 1.001 * (integers + rounding + nearest->dims * 0x1p-126);
}

SIMD_CLONES
static float least(const float *scores, uint32_t count) {
    /* Made integers of the same order, because integer minima vectorise. */
    int32_t smallest = INT32_MAX;
    for (uint32_t k = 0; k < count; k++) {
        int32_t bits;
        memcpy(&bits, scores + k, sizeof bits);
        bits ^= (bits >> 31) & INT32_MAX;
        smallest = bits < smallest ? bits : smallest;
    }
    smallest ^= (smallest >> 31) & INT32_MAX;
    float score;
    memcpy(&score, &smallest, sizeof score);
    return score;
}

/* Is one of the 64 scores at or below the limit? */
SIMD_CLONES
static bool any_below(const float *scores, float limit) {
    int any = 0;
    for (uint32_t k = 0; k < PANEL; k++)
        any |= scores[k] <= limit;
    return any;
}

static float distance_to(const struct nearest *nearest, const float *v, uint32_t code) {
    return squared_distance(v, nearest->centroids + (size_t)code * nearest->dims, nearest->dims);
}

/* The code with the least squared_distance() from v, of which `bound` is the error_bound(). No code
 * can be nearer than the one with the best score unless its own score is within the bound of what
 * that one's distance amounts to. */
static uint16_t decide(const struct nearest *nearest, const float *v, const float *scores,
                       double square, double bound, float *distance) {
    float best_score = least(scores, nearest->count);
    uint32_t first = 0, best = UINT32_MAX;
    while (!any_below(scores + first, best_score))
        first += PANEL;
    while (scores[first] > best_score)
        first++;
    float first_distance = distance_to(nearest, v, first);
    float limit = (float)((double)first_distance / 2 - square / 2 + bound);
    for (uint32_t p = 0; p < nearest->panels; p++) {
        if (!any_below(scores + p * PANEL, limit))
            continue;
        for (uint32_t k = p * PANEL; k < (p + 1) * PANEL; k++) {
            if (scores[k] > limit)
                continue;
            float d = k == first ? first_distance : distance_to(nearest, v, k);
            if (best == UINT32_MAX || d < *distance) {
                best = k;
                *distance = d;
            }
        }
    }
    ASSERT(best < nearest->count);
    return (uint16_t)best;
}

void nearest_find(struct nearest *nearest, const float *x, size_t x_stride, uint32_t n,
                  uint16_t *codes, size_t codes_stride, float *distances, size_t distances_stride) {
    size_t row_bytes = (size_t)nearest->groups * GROUP, padded = (size_t)nearest->panels * PANEL;
    for (uint32_t start = 0; start < n; start += ROWS) {
        uint32_t rows = n - start < ROWS ? n - start : ROWS;
        struct screen screen = {0};
        double squares[ROWS], bounds[ROWS];
        for (uint32_t m = 0; m < rows; m++) {
            struct rounded v = round_vector(x + (start + m) * x_stride, nearest->dims,
                                            nearest->rows + m * row_bytes, nearest->norms);
            screen.scale[m] = v.scale;
            screen.offset[m] = 128 * v.sum;
            squares[m] = v.square;
            bounds[m] = error_bound(nearest, &v);
        }
        screen_codes(nearest, &screen);
        for (uint32_t m = 0; m < rows; m++) {
            float distance = 0;
            codes[(start + m) * codes_stride] =
                decide(nearest, x + (start + m) * x_stride, nearest->scores + m * padded,
                       squares[m], bounds[m], &distance);
            if (distances)
                distances[(start + m) * distances_stride] = distance;
        }
    }
}

SIMD_CLONES
static void subtract(float *restrict r, const float *restrict c, uint32_t dims) {
    for (uint32_t i = 0; i < dims; i++)
        r[i] -= c[i];
}

void residual_quantise(struct nearest *levels, uint32_t count, float *r, uint32_t n,
                       uint16_t *codes, size_t codes_stride, float *norms) {
    for (uint32_t level = 0; level < count; level++) {
        struct nearest *nearest = &levels[level];
        size_t dims = nearest->dims;
        /* squared_distance() subtracts as subtract() does and sums the squares: it is the new
         * residual's norm. */
        nearest_find(nearest, r, dims, n, codes + level, codes_stride, norms ? norms + level : NULL,
                     count);
        for (uint32_t i = 0; i < n; i++)
            subtract(r + i * dims, nearest->centroids + codes[i * codes_stride + level] * dims,
                     nearest->dims);
    }
}
