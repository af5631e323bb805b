// What plugin.c loads.

extern "C" int rethrow(void (*pause)(void *arg), void *arg, int number)
{
    try {
        try {
            throw number;
        } catch (int) {
            pause(arg);
            throw;
        }
    } catch (int caught) {
        return caught;
    }
}
