/* The wake-up protocol of src/loop/post.c, for spin; run by check.sh.
 *
 * THREADS threads post POSTS times each to a loop.  Each of its turns takes what
 * is on the stack; then it sleeps until its descriptor is readable, unless the
 * stack has something on it again.  Each statement is a step of its own, except
 * within d_step and atomic, in any interleaving, over a memory in which all
 * see one order: the operations of post.c are atomic ones that ask for it.
 *
 * The loop ends once it has run every post.  A lost wake-up or a lost post
 * therefore shows as an invalid end state: the loop sleeps for ever.  A turn
 * that follows one without sleep and finds nothing fails an assertion: the loop
 * spins.  With NO_TURN_TAKE a turn does not look at the stack by itself.
 *
 * STEP1, STEP2 and STEP3 say in what order the loop drains, clears and takes.
 * With WAKE_FIRST a thread wakes the loop before it has pushed. */

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

/* Memory: the lowest free node is the next to be used, so that one which the
 * loop has just freed comes back while others still hold its number. */
node nodes[NODES];

byte posts = NONE; /* The stack's top. */
bool is_waking;    /* A wake-up is on its way. */
byte unread;       /* Writes in the descriptor; readable if not 0. */
byte ran[THREADS]; /* How many posts of each thread. */

/* A thread's part. */

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

/* Nobody else sees a node before it is on the stack, so writing its successor
 * is no step of its own. */
inline push(n)
{
    seen = posts;
    do
    :: atomic { posts == seen -> nodes[n].next = seen; posts = n };
       break
    :: atomic { posts != seen -> seen = posts }
    od;
    atomic { seen = 0; n = 0 }
}

inline wake()
{
    if
    :: atomic { !is_waking -> is_waking = true };
       unread++
    :: is_waking
    fi
}

proctype poster(byte me)
{
    byte number;
    byte mine;
    byte seen; /* The stack's top, when last looked at. */

    do
    :: number < POSTS ->
       new_node(mine, me, number);
#ifdef WAKE_FIRST
       wake();
       push(mine);
#else
       push(mine);
       wake();
#endif
       number++
    :: else -> break
    od
}

/* The loop's part. */

inline drain() { unread = 0 }

inline clear() { is_waking = false }

/* The whole stack, turned over: the loop alone sees it from here on. */
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
           /* Nothing is lost, doubled or out of order. */
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
       if
       :: unread > 0 -> /* Without that, and not busy, it sleeps here. */
          STEP1();
          STEP2();
          STEP3();
          run_posts();
          is_busy = false
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
