/* The version of the library that the program is linked with. */

#include "aloop/base.h"

const char *aloop_version(void)
{
    return ALOOP_TEXT(ALOOP_VERSION_MAJOR) "." ALOOP_TEXT(
        ALOOP_VERSION_MINOR) "." ALOOP_TEXT(ALOOP_VERSION_PATCH);
}
