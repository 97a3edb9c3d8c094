/* The library of a program of the look-alike: knows for which CPU target it was compiled. */
const char *standin_target(void) { return TARGET; }
