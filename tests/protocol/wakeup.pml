/* A model of the wake-up protocol of src/loop/post.c, for spin; check.sh runs
 * it.
 *
 * THREADS threads post POSTS times each to a loop.  Each turn of the loop takes
 * all posts from the stack.  Then the loop sleeps until its descriptor is
 * readable, unless the stack is not empty.  Each statement is a step of its
 * own, except within d_step and atomic.  Steps interleave in any order, on a
 * memory that is sequentially consistent, as the atomic operations of post.c
 * are.
 *
 * The loop ends once it has run every post.  A lost wake-up or a lost post is
 * therefore an invalid end state, in which the loop sleeps indefinitely.  If a
 * turn follows another one without sleep and finds nothing, an assertion fails,
 * because the loop spins.  With NO_TURN_TAKE a turn does not take posts by
 * itself.
 *
 * STEP1, STEP2 and STEP3 give the order in which the loop drains, clears and
 * takes.  With EDGE the wait itself takes the event, and nothing is drained.
 * With RENEWAL the descriptor is reported once more, as a new set of epoll does
 * while the counter is not 0.  A thread wakes the loop if its push has found the
 * stack empty.  With WAKE_FIRST it wakes the loop before it pushes, and with
 * LOOK_FIRST it looks whether the stack is empty before that. */

#ifndef THREADS
#define THREADS 2
#endif
#ifndef POSTS
#define POSTS 2
#endif
#ifndef STEP1
#define STEP1 drain
#define STEP2 clear
#define STEP3 take
#endif

#define NODES (THREADS * POSTS)
#define NONE 255

typedef node {
    bool used;
    byte next;
    byte thread;
    byte number;
}

/* The nodes.  The lowest free node is used next, so that a node which the loop
 * has just freed is reused while threads still hold its number. */
node nodes[NODES];

byte posts = NONE; /* Top of the stack. */
bool is_waking;    /* A wake-up is in progress. */
byte unread;       /* Writes in the descriptor, readable if not 0. */
bool was_written;  /* Its counter is not 0, if it is never drained. */
bool was_renewed;  /* It was reported once more. */
byte ran[THREADS]; /* Number of posts of each thread that have run. */

/* A posting thread. */

inline new_node(n, of_thread, of_number)
{
    d_step {
        n = 0;
        do
        :: nodes[n].used -> n++
        :: else -> break
        od;
        nodes[n].used = true;
        nodes[n].thread = of_thread;
        nodes[n].number = of_number
    }
}

/* A node is visible to others only when it is on the stack, so writing its
 * successor is not a separate step.  Sets `was_empty`. */
inline push(n)
{
    seen = posts;
    do
    :: atomic { posts == seen -> nodes[n].next = seen; posts = n };
       break
    :: atomic { posts != seen -> seen = posts }
    od;
    atomic { was_empty = (seen == NONE); seen = 0; n = 0 }
}

inline signal()
{
    d_step { unread++; was_written = true }
}

inline wake()
{
    if
    :: atomic { !is_waking -> is_waking = true };
       signal()
    :: is_waking
    fi
}

proctype poster(byte me)
{
    byte number;
    byte mine;
    byte seen; /* Top of the stack when it was last read. */
    bool was_empty; /* The stack, before the push. */
    bool looked; /* What an early look has found. */

    do
    :: number < POSTS ->
       new_node(mine, me, number);
#ifdef WAKE_FIRST
       wake();
       push(mine);
#else
#ifdef LOOK_FIRST
       looked = (posts == NONE);
       push(mine);
       was_empty = looked;
       looked = false;
#else
       push(mine);
#endif
       if
       :: was_empty -> was_empty = false; wake()
       :: !was_empty
       fi;
#endif
       number++
    :: else -> break
    od
}

/* The loop. */

inline drain()
{
#ifdef EDGE
    skip
#else
    unread = 0
#endif
}

inline clear() { is_waking = false }

/* Takes the whole stack and reverses it.  Only the loop sees it from here
 * on. */
inline take()
{
    d_step {
        top = posts;
        posts = NONE;
        oldest = NONE;
        do
        :: top != NONE ->
           following = nodes[top].next;
           nodes[top].next = oldest;
           oldest = top;
           top = following
        :: else -> break
        od;
        top = 0;
        following = 0
    }
}

inline run_posts()
{
    do
    :: oldest != NONE ->
       d_step {
           assert(nodes[oldest].used);
           /* Nothing is lost, duplicated or out of order. */
           assert(nodes[oldest].number == ran[nodes[oldest].thread]);
           ran[nodes[oldest].thread]++;
           total++;
           following = nodes[oldest].next;
           nodes[oldest].used = false;
           nodes[oldest].next = 0;
           nodes[oldest].thread = 0;
           nodes[oldest].number = 0;
           oldest = following;
           following = 0
       }
    :: else -> break
    od
}

inline dispatch()
{
    STEP1();
    STEP2();
    STEP3();
    run_posts();
    is_busy = false
}

proctype loop()
{
    byte total;
    byte oldest = NONE;
    byte top;
    byte following;
    bool is_busy;

    do
    :: total < NODES ->
#ifndef NO_TURN_TAKE
       take();
#endif
       assert(!is_busy || oldest != NONE);
       run_posts();
       is_busy = posts != NONE;
       if /* If not readable and not busy, it sleeps here. */
#ifdef EDGE
       :: atomic { unread > 0 -> unread = 0 };
          dispatch()
#else
       :: unread > 0 ->
          dispatch()
#endif
#ifdef RENEWAL
       :: atomic { was_written && !was_renewed -> was_renewed = true };
          dispatch()
#endif
       :: is_busy && unread == 0
       fi
    :: else -> break
    od;
    assert(posts == NONE)
}

init {
    byte i;

    atomic {
        run loop();
        do
        :: i < THREADS -> run poster(i); i++
        :: else -> break
        od
    }
}
