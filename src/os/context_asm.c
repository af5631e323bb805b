/* The context switch in assembly, for x86-64, aarch64 and riscv64.
 *
 * A suspended context has its callee-saved registers and its floating-point
 * control words in one frame at context->sp.  A new context that is not called
 * gets a prepared frame that returns into aloop__context_boot.
 *
 * - The switch ends with `ret`.  The processor mispredicts the target of that
 *   return, but its predictions for the callers stay right.  Besides, a return
 *   needs no landing pad where indirect branches are checked.
 * - Control words are loaded only if they differ, because loading is slow.  The
 *   sticky status bits do not belong to the context, so that they do not count
 *   as a difference.
 * - The unwind tables are valid at each instruction, because the frames of both
 *   contexts have the same layout.  aloop__context_boot has an undefined return
 *   address and a zero frame pointer, so that every backtrace ends there.  Its
 *   first instruction is never executed.  It exists because unwinders look up
 *   the instruction before the return address, which must be inside the
 *   function.
 * - The assembly is in a C file, so that the build needs only one language and
 *   link-time optimisation works.
 *
 * On x86-64 this file must be compiled with -fcf-protection=branch or none:
 * `full` would mark it as compatible with shadow stacks, which the switch is
 * not.  The same holds for guarded control stacks on aarch64. */

#define _POSIX_C_SOURCE 200809L /* For signal masks, with TSan. */

#include "os/context.h"

#include <stdbool.h>
#include <stdint.h>

#include "os/context_hooks.h"

_Static_assert(offsetof(struct aloop__context, sp) == 0,
               "aloop__context_launch() finds the stack pointer at 0");

#if defined(__ARM_FEATURE_GCS_DEFAULT)
#error "build this file with -mbranch-protection=pac-ret+bti"
#endif

/* The assembly has one instruction in each line. */
/* clang-format off */
#if defined(__APPLE__)
#define FUNCTION(name)                                                         \
    ".text\n.p2align 4\n.globl _" #name "\n.private_extern _" #name            \
    "\n_" #name ":\n.cfi_startproc\n"
#define FUNCTION_END(name) ".cfi_endproc\n"
#define FILE_END ""
#else
/* A section of its own keeps debuggers from attributing the function to the C
 * code before it. */
#define FUNCTION(name)                                                         \
    ".section .text.aloop__context, \"ax\", %progbits\n"                      \
    ".p2align 4\n.globl " #name "\n.hidden " #name "\n.type " #name           \
    ", %function\n" #name ":\n.cfi_startproc\n"
#define FUNCTION_END(name) ".cfi_endproc\n.size " #name ", . - " #name "\n"
#define FILE_END ".section .note.GNU-stack, \"\", %progbits\n.text\n"
#endif

/* Pushes the frame, stores its address in *ret_sp, and resumes the frame at
 * `sp`. */
void aloop__context_jump(void **ret_sp, void *sp)
    __attribute__((visibility("hidden")));
/* Pushes the frame, stores its address in *ret_sp, and calls run(arg) with the
 * stack pointer `top`.  Then resumes the context that run() has returned. */
void aloop__context_launch(void **ret_sp, void *top,
                           struct aloop__context *(*run)(void *arg), void *arg)
    __attribute__((visibility("hidden")));
/* The return address of a prepared frame; not a function to call. */
extern const char aloop__context_boot[] __attribute__((visibility("hidden")));

/* The layout of the frame: its size and the indices of its words.  BOOT_SKIP is
 * the size of the instruction that is never executed. */

#if defined(__x86_64__) && !defined(__ILP32__)

enum {
    WORD_CONTROL = 0,
    WORD_RUN = 3, /* r13 */
    WORD_ARG = 4, /* r12 */
    WORD_RETURN = 7,
    FRAME_WORDS = 8,
    BOOT_SKIP = 1
};
/* The bits of the control words that are not status bits, or unused. */
static const uintptr_t control_mask = 0xffff0000ffc0;

/* Returns mxcsr, and the x87 control word in the upper half. */
HOOK uintptr_t control_words(void)
{
    uint32_t mxcsr;
    uint16_t x87;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uintptr_t) x87 << 32 | mxcsr;
}

#define PUSH(register)                                                         \
    "pushq %" #register "\n.cfi_adjust_cfa_offset 8\n"                         \
    ".cfi_rel_offset %" #register ", 0\n"
#define POP(register)                                                          \
    "popq %" #register "\n.cfi_adjust_cfa_offset -8\n"                         \
    ".cfi_restore %" #register "\n"

#define SUSPEND                                                                \
    "endbr64\n"                                                                \
    PUSH(rbp) PUSH(rbx) PUSH(r12) PUSH(r13) PUSH(r14) PUSH(r15)                \
    "subq $8, %rsp\n"                                                          \
    ".cfi_adjust_cfa_offset 8\n"                                               \
    "stmxcsr (%rsp)\n"                                                         \
    "fnstcw 4(%rsp)\n"                                                         \
    "movq %rsp, (%rdi)\n"

__asm__(FUNCTION(aloop__context_jump)
    SUSPEND
    "movl (%rsp), %eax\n"
    "movzwl 4(%rsp), %ecx\n"
    "movq %rsi, %rsp\n"
    "9: xorl (%rsp), %eax\n"
    "testl $0xffc0, %eax\n" /* All but the status bits. */
    "jne 3f\n"
    "1: cmpw 4(%rsp), %cx\n"
    "jne 4f\n"
    "2:\n"
    ".cfi_remember_state\n"
    "addq $8, %rsp\n"
    ".cfi_adjust_cfa_offset -8\n"
    POP(r15) POP(r14) POP(r13) POP(r12) POP(rbx) POP(rbp)
    "ret\n"
    ".cfi_restore_state\n"
    "3: ldmxcsr (%rsp)\n"
    "jmp 1b\n"
    "4: fnclex\n" /* A status bit that is now unmasked would trap. */
    "fldcw 4(%rsp)\n"
    "jmp 2b\n"
    FUNCTION_END(aloop__context_jump)

    /* The words below the stack pointer are not overwritten by signals. */
    FUNCTION(aloop__context_launch)
    SUSPEND
    ".cfi_remember_state\n"
    ".cfi_undefined rip\n"
    "movq %rsi, %rsp\n"
    "xorl %ebp, %ebp\n"
    "movq %rcx, %rdi\n"
    "call *%rdx\n"
    "movq (%rax), %rdx\n"
    "stmxcsr -8(%rsp)\n"
    "fnstcw -4(%rsp)\n"
    "movl -8(%rsp), %eax\n"
    "movzwl -4(%rsp), %ecx\n"
    "movq %rdx, %rsp\n"
    ".cfi_restore_state\n"
    "jmp 9b\n"
    FUNCTION_END(aloop__context_launch)

    FUNCTION(aloop__context_boot)
    ".cfi_undefined rip\n"
    "nop\n"
    "movq %r12, %rdi\n"
    "call *%r13\n"
    "ud2\n"
    FUNCTION_END(aloop__context_boot)
    FILE_END);

#elif defined(__aarch64__) && !defined(__ILP32__)

enum {
    WORD_CONTROL = 0,
    WORD_ARG = 2,     /* x19 */
    WORD_RUN = 3,     /* x20 */
    WORD_RETURN = 13, /* x30 */
    FRAME_WORDS = 22,
    BOOT_SKIP = 4
};
static const uintptr_t control_mask = ~(uintptr_t) 0;

HOOK uintptr_t control_words(void)
{
    uintptr_t fpcr;

    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

/* With -mbranch-protection=pac-ret or standard, return addresses are signed
 * with the stack pointer at the call, as the compiler does it.  The
 * instructions are hints, which older processors ignore. */
#if !defined(__ARM_FEATURE_PAC_DEFAULT)
#define SIGN ""
#define CHECK ""
#elif (__ARM_FEATURE_PAC_DEFAULT & 2) != 0
#define SIGN ".cfi_b_key_frame\nhint #27\n.cfi_negate_ra_state\n"
#define CHECK "hint #31\n.cfi_negate_ra_state\n"
#define SIGN_OTHER "hint #10" /* pacib1716 */
#else
#define SIGN "hint #25\n.cfi_negate_ra_state\n"
#define CHECK "hint #29\n.cfi_negate_ra_state\n"
#define SIGN_OTHER "hint #8" /* pacia1716 */
#endif

HOOK uintptr_t signed_return(uintptr_t address, uintptr_t sp)
{
#if defined(SIGN_OTHER)
    register uintptr_t x17 __asm__("x17") = address;
    register uintptr_t x16 __asm__("x16") = sp;

    __asm__(SIGN_OTHER : "+r"(x17) : "r"(x16));
    return x17;
#else
    (void) sp;
    return address;
#endif
}
#define SIGNED_RETURN signed_return

/* Two registers at offset `at` of the frame. */
#define SAVE(one, two, at)                                                     \
    "stp " #one ", " #two ", [sp, #" #at "]\n"                                 \
    ".cfi_rel_offset " #one ", " #at "\n"                                      \
    ".cfi_rel_offset " #two ", " #at " + 8\n"
#define LOAD(one, two, at)                                                     \
    "ldp " #one ", " #two ", [sp, #" #at "]\n"                                 \
    ".cfi_restore " #one "\n.cfi_restore " #two "\n"

/* The hint is bti c: far calls arrive through an indirect branch. */
#define SUSPEND                                                                \
    "hint #34\n"                                                               \
    SIGN                                                                       \
    "sub sp, sp, #176\n"                                                       \
    ".cfi_adjust_cfa_offset 176\n"                                             \
    SAVE(x19, x20, 16) SAVE(x21, x22, 32) SAVE(x23, x24, 48)                   \
    SAVE(x25, x26, 64) SAVE(x27, x28, 80) SAVE(x29, x30, 96)                   \
    SAVE(d8, d9, 112) SAVE(d10, d11, 128)                                      \
    SAVE(d12, d13, 144) SAVE(d14, d15, 160)                                    \
    "mrs x9, fpcr\n"                                                           \
    "str x9, [sp]\n"                                                           \
    "mov x10, sp\n"                                                            \
    "str x10, [x0]\n"

__asm__(FUNCTION(aloop__context_jump)
    SUSPEND
    "mov sp, x1\n"
    "9: ldr x10, [sp]\n"
    "cmp x9, x10\n"
    "b.eq 1f\n"
    "msr fpcr, x10\n"
    "1:\n"
    LOAD(x19, x20, 16) LOAD(x21, x22, 32) LOAD(x23, x24, 48)
    LOAD(x25, x26, 64) LOAD(x27, x28, 80) LOAD(x29, x30, 96)
    LOAD(d8, d9, 112) LOAD(d10, d11, 128)
    LOAD(d12, d13, 144) LOAD(d14, d15, 160)
    "add sp, sp, #176\n"
    ".cfi_adjust_cfa_offset -176\n"
    CHECK
    "ret\n"
    FUNCTION_END(aloop__context_jump)

    FUNCTION(aloop__context_launch)
    SUSPEND
    ".cfi_remember_state\n"
    ".cfi_undefined x30\n"
    "mov sp, x1\n"
    "mov x29, #0\n"
    "mov x0, x3\n"
    "blr x2\n"
    "mrs x9, fpcr\n"
    "ldr x10, [x0]\n"
    "mov sp, x10\n"
    ".cfi_restore_state\n"
    "b 9b\n"
    FUNCTION_END(aloop__context_launch)

    FUNCTION(aloop__context_boot)
    ".cfi_undefined x30\n"
    "nop\n"
    "mov x0, x19\n"
    "blr x20\n"
    "brk #1\n"
    FUNCTION_END(aloop__context_boot)
    FILE_END);

#elif __riscv_xlen == 64 && defined(__riscv_float_abi_double)

enum {
    WORD_RETURN = 0, /* ra */
    WORD_ARG = 2,    /* s1 */
    WORD_RUN = 3,    /* s2 */
    WORD_CONTROL = 25,
    FRAME_WORDS = 26,
    BOOT_SKIP = 4
};
static const uintptr_t control_mask = ~(uintptr_t) 0;

HOOK uintptr_t control_words(void)
{
    uintptr_t frm;

    __asm__ volatile("frrm %0" : "=r"(frm));
    return frm;
}

#define SAVE(register, at)                                                     \
    "sd " #register ", " #at "(sp)\n.cfi_rel_offset " #register ", " #at "\n"
#define LOAD(register, at)                                                     \
    "ld " #register ", " #at "(sp)\n.cfi_restore " #register "\n"
#define SAVE_FLOAT(register, at)                                               \
    "fsd " #register ", " #at "(sp)\n.cfi_rel_offset " #register ", " #at "\n"
#define LOAD_FLOAT(register, at)                                               \
    "fld " #register ", " #at "(sp)\n.cfi_restore " #register "\n"

#define SUSPEND                                                                \
    "addi sp, sp, -208\n"                                                      \
    ".cfi_adjust_cfa_offset 208\n"                                             \
    SAVE(ra, 0) SAVE(s0, 8) SAVE(s1, 16) SAVE(s2, 24) SAVE(s3, 32)             \
    SAVE(s4, 40) SAVE(s5, 48) SAVE(s6, 56) SAVE(s7, 64) SAVE(s8, 72)           \
    SAVE(s9, 80) SAVE(s10, 88) SAVE(s11, 96)                                   \
    SAVE_FLOAT(fs0, 104) SAVE_FLOAT(fs1, 112) SAVE_FLOAT(fs2, 120)             \
    SAVE_FLOAT(fs3, 128) SAVE_FLOAT(fs4, 136) SAVE_FLOAT(fs5, 144)             \
    SAVE_FLOAT(fs6, 152) SAVE_FLOAT(fs7, 160) SAVE_FLOAT(fs8, 168)             \
    SAVE_FLOAT(fs9, 176) SAVE_FLOAT(fs10, 184) SAVE_FLOAT(fs11, 192)           \
    "frrm t0\n"                                                                \
    "sd t0, 200(sp)\n"                                                         \
    "sd sp, 0(a0)\n"

__asm__(FUNCTION(aloop__context_jump)
    SUSPEND
    "mv sp, a1\n"
    "9: ld t1, 200(sp)\n"
    "beq t0, t1, 1f\n"
    "fsrm t1\n"
    "1:\n"
    LOAD(ra, 0) LOAD(s0, 8) LOAD(s1, 16) LOAD(s2, 24) LOAD(s3, 32)
    LOAD(s4, 40) LOAD(s5, 48) LOAD(s6, 56) LOAD(s7, 64) LOAD(s8, 72)
    LOAD(s9, 80) LOAD(s10, 88) LOAD(s11, 96)
    LOAD_FLOAT(fs0, 104) LOAD_FLOAT(fs1, 112) LOAD_FLOAT(fs2, 120)
    LOAD_FLOAT(fs3, 128) LOAD_FLOAT(fs4, 136) LOAD_FLOAT(fs5, 144)
    LOAD_FLOAT(fs6, 152) LOAD_FLOAT(fs7, 160) LOAD_FLOAT(fs8, 168)
    LOAD_FLOAT(fs9, 176) LOAD_FLOAT(fs10, 184) LOAD_FLOAT(fs11, 192)
    "addi sp, sp, 208\n"
    ".cfi_adjust_cfa_offset -208\n"
    "ret\n"
    FUNCTION_END(aloop__context_jump)

    FUNCTION(aloop__context_launch)
    SUSPEND
    ".cfi_remember_state\n"
    ".cfi_undefined ra\n"
    "mv sp, a1\n"
    "li s0, 0\n"
    "mv a0, a3\n"
    "jalr a2\n"
    "ld sp, 0(a0)\n"
    ".cfi_restore_state\n"
    "frrm t0\n"
    "j 9b\n"
    FUNCTION_END(aloop__context_launch)

    FUNCTION(aloop__context_boot)
    ".cfi_undefined ra\n"
    ".option push\n"
    ".option norvc\n"
    "nop\n"
    ".option pop\n"
    "mv a0, s1\n"
    "jalr s2\n"
    "ebreak\n"
    FUNCTION_END(aloop__context_boot)
    FILE_END);

#else
#error "no assembly for this machine: build context_ucontext.c instead"
#endif
/* clang-format on */

/* Used where return addresses are not signed. */
#if !defined(SIGNED_RETURN)
#define SIGNED_RETURN(address, sp) (address)
#endif

void aloop__context_init_thread(struct aloop__context *context)
{
    memset(context, 0, sizeof *context);
    hook_find_errno();
}

void aloop__context_fini_thread(struct aloop__context *context)
{
    (void) context;
}

/* Called by aloop__context_boot as the first function of a context. */
UNINSTRUMENTED static void context_enter(const struct hook_start *start)
{
    hook_run(start);
}

/* Uninstrumented because it writes above the part of the stack that ASan
 * knows. */
UNINSTRUMENTED void aloop__context_init(struct aloop__context *context,
                                        void *low, size_t size,
                                        void (*run)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t) low + size - sizeof(struct hook_start)) &
                    ~(uintptr_t) 15;
    struct hook_start *start = (struct hook_start *) top;
    uintptr_t *frame = (uintptr_t *) top - FRAME_WORDS;

    start->self = context;
    start->run = run;
    start->arg = arg;
    memset(context, 0, sizeof *context);
    context->sp = frame;
    hook_init(context, low, size);

    /* This also clears the frame pointer. */
    memset(frame, 0, FRAME_WORDS * sizeof *frame);
    frame[WORD_CONTROL] = control_words();
    frame[WORD_RUN] = (uintptr_t) context_enter;
    frame[WORD_ARG] = (uintptr_t) start;
    frame[WORD_RETURN] =
        SIGNED_RETURN((uintptr_t) aloop__context_boot + BOOT_SKIP, top);
}

/* The only place where the switch is called, also for contexts that end.
 * Therefore the processor predicts the return of the switch right, unless the
 * context that is resumed was suspended by aloop__context_call().  This saves a
 * fifth of the cost of a context that runs only once. */
__attribute__((noinline)) UNINSTRUMENTED static void context_leave(
    struct aloop__context *from, struct aloop__context *to, bool is_last)
{
    struct hook_kept kept;

    aloop__context_fetch(to);
    hook_keep(&kept);
    hook_leave(from, to, is_last);
    aloop__context_jump(&from->sp, to->sp);
    hook_arrive(from);
    hook_restore(&kept);
}

UNINSTRUMENTED void aloop__context_switch(struct aloop__context *from,
                                          struct aloop__context *to)
{
    context_leave(from, to, false);
}

UNINSTRUMENTED _Noreturn void aloop__context_switch_last(
    struct aloop__context *from, struct aloop__context *to)
{
    context_leave(from, to, true);
    __builtin_unreachable();
}

bool aloop__context_is_like(const struct aloop__context *home)
{
    const uintptr_t *frame = home->sp;

    return ((frame[WORD_CONTROL] ^ control_words()) & control_mask) == 0;
}

UNINSTRUMENTED void aloop__context_renew(void)
{
    hook_renew();
}

bool aloop__context_can_call(void)
{
    return !tools_hide_stacks() && !WITH_TSAN;
}

UNINSTRUMENTED void aloop__context_call(
    struct aloop__context *from, void *low, size_t size,
    struct aloop__context *(*run)(void *arg), void *arg)
{
    uintptr_t top = ((uintptr_t) low + size) & ~(uintptr_t) 15;
    struct hook_kept kept;

    hook_keep(&kept);
    aloop__context_launch(&from->sp, (void *) top, run, arg);
    hook_restore(&kept);
}

void aloop__context_fini(struct aloop__context *context)
{
    hook_fini(context);
}
