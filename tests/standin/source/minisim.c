/* Calls another module's library (GSL), which needs a library of its own (CBLAS). */
#include <stdio.h>
const char *standin_target(void);
double gsl_sf_bessel_J0(double x);
double cblas_ddot(int n, const double *x, int incx, const double *y, int incy);
int main(void) {
    const double v[] = {1, 2, 3, 4};
    printf("%s J0(1)=%.6f dot=%.0f\n", standin_target(), gsl_sf_bessel_J0(1.0), cblas_ddot(4, v, 1, v, 1));
    return 0;
}
