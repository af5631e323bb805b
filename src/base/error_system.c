/* Names and sentences for the errors that only some systems have.  error.c has
 * those of POSIX.  Where two names share a number, the first entry is used. */

#include "base/error.h"

#include <errno.h>
#include <stddef.h>

static const struct error_entry system_error_entries[] = {
#ifdef EADV
    {-EADV, "EADV", "advertise error"},
#endif
#ifdef EAUTH
    {-EAUTH, "EAUTH", "authentication error"},
#endif
#ifdef EBADARCH
    {-EBADARCH, "EBADARCH", "wrong processor type in executable"},
#endif
#ifdef EBADE
    {-EBADE, "EBADE", "invalid exchange"},
#endif
#ifdef EBADEXEC
    {-EBADEXEC, "EBADEXEC", "bad executable"},
#endif
#ifdef EBADFD
    {-EBADFD, "EBADFD", "file descriptor in bad state"},
#endif
#ifdef EBADMACHO
    {-EBADMACHO, "EBADMACHO", "malformed executable"},
#endif
#ifdef EBADR
    {-EBADR, "EBADR", "invalid request descriptor"},
#endif
#ifdef EBADRPC
    {-EBADRPC, "EBADRPC", "bad remote procedure call"},
#endif
#ifdef EBADRQC
    {-EBADRQC, "EBADRQC", "invalid request code"},
#endif
#ifdef EBADSLT
    {-EBADSLT, "EBADSLT", "invalid slot"},
#endif
#ifdef EBFONT
    {-EBFONT, "EBFONT", "bad font file format"},
#endif
#ifdef ECAPMODE
    {-ECAPMODE, "ECAPMODE", "not permitted in capability mode"},
#endif
#ifdef ECHRNG
    {-ECHRNG, "ECHRNG", "channel number out of range"},
#endif
#ifdef ECOMM
    {-ECOMM, "ECOMM", "communication error on send"},
#endif
#ifdef EDEADLOCK
    {-EDEADLOCK, "EDEADLOCK", "file locking deadlock"},
#endif
#ifdef EDEVERR
    {-EDEVERR, "EDEVERR", "device error"},
#endif
#ifdef EDOOFUS
    {-EDOOFUS, "EDOOFUS", "programming error"},
#endif
#ifdef EDOTDOT
    {-EDOTDOT, "EDOTDOT", "file system crossing error"},
#endif
#ifdef EFTYPE
    {-EFTYPE, "EFTYPE", "wrong file type or format"},
#endif
#ifdef EHOSTDOWN
    {-EHOSTDOWN, "EHOSTDOWN", "host is down"},
#endif
#ifdef EHWPOISON
    {-EHWPOISON, "EHWPOISON", "memory page has a hardware error"},
#endif
#ifdef EINTEGRITY
    {-EINTEGRITY, "EINTEGRITY", "integrity check failed"},
#endif
#ifdef EIPSEC
    {-EIPSEC, "EIPSEC", "IPsec processing failure"},
#endif
#ifdef EISNAM
    {-EISNAM, "EISNAM", "is a named file"},
#endif
#ifdef EKEYEXPIRED
    {-EKEYEXPIRED, "EKEYEXPIRED", "key has expired"},
#endif
#ifdef EKEYREJECTED
    {-EKEYREJECTED, "EKEYREJECTED", "key was rejected"},
#endif
#ifdef EKEYREVOKED
    {-EKEYREVOKED, "EKEYREVOKED", "key has been revoked"},
#endif
#ifdef EL2HLT
    {-EL2HLT, "EL2HLT", "level 2 halted"},
#endif
#ifdef EL2NSYNC
    {-EL2NSYNC, "EL2NSYNC", "level 2 not synchronized"},
#endif
#ifdef EL3HLT
    {-EL3HLT, "EL3HLT", "level 3 halted"},
#endif
#ifdef EL3RST
    {-EL3RST, "EL3RST", "level 3 reset"},
#endif
#ifdef ELIBACC
    {-ELIBACC, "ELIBACC", "cannot access a shared library"},
#endif
#ifdef ELIBBAD
    {-ELIBBAD, "ELIBBAD", "corrupted shared library"},
#endif
#ifdef ELIBEXEC
    {-ELIBEXEC, "ELIBEXEC", "cannot execute a shared library"},
#endif
#ifdef ELIBMAX
    {-ELIBMAX, "ELIBMAX", "too many shared libraries"},
#endif
#ifdef ELIBSCN
    {-ELIBSCN, "ELIBSCN", "corrupted library section"},
#endif
#ifdef ELNRNG
    {-ELNRNG, "ELNRNG", "link number out of range"},
#endif
#ifdef EMEDIUMTYPE
    {-EMEDIUMTYPE, "EMEDIUMTYPE", "wrong medium type"},
#endif
#ifdef EMULTIHOP
    {-EMULTIHOP, "EMULTIHOP", "multihop attempted"},
#endif
#ifdef ENAVAIL
    {-ENAVAIL, "ENAVAIL", "no semaphores available"},
#endif
#ifdef ENEEDAUTH
    {-ENEEDAUTH, "ENEEDAUTH", "authentication needed"},
#endif
#ifdef ENOANO
    {-ENOANO, "ENOANO", "no anode"},
#endif
#ifdef ENOATTR
    {-ENOATTR, "ENOATTR", "attribute not found"},
#endif
#ifdef ENOCSI
    {-ENOCSI, "ENOCSI", "no CSI structure available"},
#endif
#ifdef ENODATA
    {-ENODATA, "ENODATA", "no data available"},
#endif
#ifdef ENOKEY
    {-ENOKEY, "ENOKEY", "required key not available"},
#endif
#ifdef ENOLINK
    {-ENOLINK, "ENOLINK", "link has been severed"},
#endif
#ifdef ENOMEDIUM
    {-ENOMEDIUM, "ENOMEDIUM", "no medium found"},
#endif
#ifdef ENONET
    {-ENONET, "ENONET", "machine is not on the network"},
#endif
#ifdef ENOPKG
    {-ENOPKG, "ENOPKG", "package not installed"},
#endif
#ifdef ENOPOLICY
    {-ENOPOLICY, "ENOPOLICY", "no such policy"},
#endif
#ifdef ENOSR
    {-ENOSR, "ENOSR", "out of stream resources"},
#endif
#ifdef ENOSTR
    {-ENOSTR, "ENOSTR", "not a stream device"},
#endif
#ifdef ENOTBLK
    {-ENOTBLK, "ENOTBLK", "block device required"},
#endif
#ifdef ENOTCAPABLE
    {-ENOTCAPABLE, "ENOTCAPABLE", "capabilities insufficient"},
#endif
#ifdef ENOTNAM
    {-ENOTNAM, "ENOTNAM", "not a named file"},
#endif
#ifdef ENOTRECOVERABLE
    {-ENOTRECOVERABLE, "ENOTRECOVERABLE", "state not recoverable"},
#endif
#ifdef ENOTUNIQ
    {-ENOTUNIQ, "ENOTUNIQ", "name not unique on network"},
#endif
#ifdef EOWNERDEAD
    {-EOWNERDEAD, "EOWNERDEAD", "previous owner died"},
#endif
#ifdef EPFNOSUPPORT
    {-EPFNOSUPPORT, "EPFNOSUPPORT", "protocol family not supported"},
#endif
#ifdef EPROCLIM
    {-EPROCLIM, "EPROCLIM", "too many processes"},
#endif
#ifdef EPROCUNAVAIL
    {-EPROCUNAVAIL, "EPROCUNAVAIL", "bad procedure for program"},
#endif
#ifdef EPROGMISMATCH
    {-EPROGMISMATCH, "EPROGMISMATCH", "wrong program version"},
#endif
#ifdef EPROGUNAVAIL
    {-EPROGUNAVAIL, "EPROGUNAVAIL", "remote program not available"},
#endif
#ifdef EPWROFF
    {-EPWROFF, "EPWROFF", "device power is off"},
#endif
#ifdef EQFULL
    {-EQFULL, "EQFULL", "interface output queue is full"},
#endif
#ifdef EREMCHG
    {-EREMCHG, "EREMCHG", "remote address changed"},
#endif
#ifdef EREMOTE
    {-EREMOTE, "EREMOTE", "object is remote"},
#endif
#ifdef EREMOTEIO
    {-EREMOTEIO, "EREMOTEIO", "remote input/output error"},
#endif
#ifdef ERESTART
    {-ERESTART, "ERESTART", "interrupted call should be restarted"},
#endif
#ifdef ERFKILL
    {-ERFKILL, "ERFKILL", "radio is switched off"},
#endif
#ifdef ERPCMISMATCH
    {-ERPCMISMATCH, "ERPCMISMATCH", "wrong version of remote procedure call"},
#endif
#ifdef ESHLIBVERS
    {-ESHLIBVERS, "ESHLIBVERS", "shared library version mismatch"},
#endif
#ifdef ESHUTDOWN
    {-ESHUTDOWN, "ESHUTDOWN", "transport endpoint was shut down"},
#endif
#ifdef ESOCKTNOSUPPORT
    {-ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT", "socket type not supported"},
#endif
#ifdef ESRMNT
    {-ESRMNT, "ESRMNT", "remote mount error"},
#endif
#ifdef ESTRPIPE
    {-ESTRPIPE, "ESTRPIPE", "stream pipe error"},
#endif
#ifdef ETIME
    {-ETIME, "ETIME", "timer expired"},
#endif
#ifdef ETOOMANYREFS
    {-ETOOMANYREFS, "ETOOMANYREFS", "too many references"},
#endif
#ifdef EUCLEAN
    {-EUCLEAN, "EUCLEAN", "file system structure needs cleaning"},
#endif
#ifdef EUNATCH
    {-EUNATCH, "EUNATCH", "protocol driver not attached"},
#endif
#ifdef EUSERS
    {-EUSERS, "EUSERS", "too many users"},
#endif
#ifdef EXFULL
    {-EXFULL, "EXFULL", "exchange is full"},
#endif
    {0, NULL, NULL}, /* The table is never empty. */
};

const struct error_entry *aloop__error_of_system(ssize_t status)
{
    for (size_t i = 0; system_error_entries[i].name != NULL; i++)
        if (system_error_entries[i].error == status)
            return &system_error_entries[i];
    return NULL;
}
