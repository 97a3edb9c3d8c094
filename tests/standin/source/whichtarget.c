/* Prints the CPU target of this build. */
#include <stdio.h>
const char *standin_target(void);
int main(void) {
    printf("%s %s\n", NAME, standin_target());
    return 0;
}
