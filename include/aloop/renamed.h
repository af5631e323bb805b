/* Earlier names of functions.
 *
 * Programs that were written for the first development versions compile with
 * them.  Version 0.2 will not have them: use the names on the right. */

#ifndef ALOOP_RENAMED_H
#define ALOOP_RENAMED_H

#define aloop_cancelled aloop_is_cancelled
#define aloop_channel_closed aloop_channel_is_closed
#define aloop_deadline_move aloop_deadline_restart
#define aloop_future_done aloop_future_new_settled
#define aloop_future_settled aloop_future_is_settled
#define aloop_mutex_locked aloop_mutex_is_locked
#define aloop_pipe aloop_stream_forward
#define aloop_stream_set_water aloop_stream_set_watermarks
#define aloop_timer_active aloop_timer_is_active
#define aloop_timer_again aloop_timer_restart
#define aloop_timer_set aloop_timer_restart_at

#endif
