#include "math/linalg.h"

#include "math/blas_core.h"

#include <cblas.h>
#include <lapacke.h>

const char *blas_core_running(void) {
    return openblas_get_corename();
}

void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a,
          int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    if (m == 0 || n == 0)
        return;
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta, c,
                ldc);
}

void gram_add(int m, int n, const double *a, int lda, double *c, int ldc) {
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, n, m, 1.0, a, lda, 1.0, c, ldc);
}

/* LAPACK is asked for the size of its workspace first, so that the memory is ours and not from its
 * own malloc. */
static double *workspace(struct arena *scratch, size_t count, struct error *err) {
    double *work = arena_alloc(scratch, count * sizeof *work);
    if (!work)
        (void)FAIL(err, FATAL, EX_OSERR,
                   "arena %s has no room for a workspace of %zu doubles: raise its limit",
                   scratch->name, count);
    return work;
}

static void fix_sign(int n, double *vector) {
    int largest = 0;
    for (int i = 1; i < n; i++) {
        double a = vector[i] < 0 ? -vector[i] : vector[i];
        double b = vector[largest] < 0 ? -vector[largest] : vector[largest];
        largest = a > b ? i : largest;
    }
    if (vector[largest] < 0)
        for (int i = 0; i < n; i++)
            vector[i] = -vector[i];
}

enum status eigen_symmetric(int n, double *a, double *values, struct arena *scratch,
                            struct error *err) {
    size_t mark = arena_mark(scratch);
    double size;
    lapack_int integers;
    /* Row-major upper is column-major lower, and LAPACK's columns are our rows: nothing needs
     * transposing. */
    lapack_int info =
        LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, n, values, &size, -1, &integers, -1);
    ASSERT(info == 0);
    double *work = workspace(scratch, (size_t)size, err);
    double *integer_work = work ? workspace(scratch, (size_t)integers, err) : NULL;
    if (!integer_work)
        return FATAL;
    info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a, n, values, work, (lapack_int)size,
                               (lapack_int *)integer_work, integers);
    arena_rewind(scratch, mark);
    ASSERT(info >= 0);
    if (info > 0)
        return FAIL(err, FATAL, EX_DATAERR,
                    "eigen decomposition of a %d x %d matrix did not converge", n, n);
    for (int i = 0; i < n; i++)
        fix_sign(n, a + (size_t)i * (size_t)n);
    return OK;
}

enum status nearest_orthogonal(int n, double *a, struct arena *scratch, struct error *err) {
    size_t mark = arena_mark(scratch), square = (size_t)n * (size_t)n;
    double *singular = workspace(scratch, (size_t)n, err);
    double *u = singular ? workspace(scratch, square, err) : NULL;
    double *vt = u ? workspace(scratch, square, err) : NULL;
    double *integer_work = vt ? workspace(scratch, 8 * (size_t)n, err) : NULL;
    if (!integer_work)
        return FATAL;
    double size;
    /* In column-major order the memory of a holds a' = v s u', so what comes back as u is v here,
     * and vt is u'. */
    lapack_int info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'A', n, n, a, n, singular, u, n, vt, n,
                                          &size, -1, (lapack_int *)integer_work);
    ASSERT(info == 0);
    double *work = workspace(scratch, (size_t)size, err);
    if (!work)
        return FATAL;
    info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'A', n, n, a, n, singular, u, n, vt, n, work,
                               (lapack_int)size, (lapack_int *)integer_work);
    ASSERT(info >= 0);
    if (info == 0) /* (u v')' in column-major order is u v' in ours */
        cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0, u, n, vt, n, 0.0, a,
                    n);
    arena_rewind(scratch, mark);
    if (info > 0)
        return FAIL(err, FATAL, EX_DATAERR, "singular values of a %d x %d matrix did not converge",
                    n, n);
    return OK;
}
