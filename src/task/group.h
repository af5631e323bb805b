/* Groups from the inside: what owners of a group need. */

#ifndef ALOOP_TASK_GROUP_H
#define ALOOP_TASK_GROUP_H

#include "aloop/group.h"

/* Called when a member has ended, with its argument and its status.  It is not
 * in the group any more, and others may be spawned. */
typedef void (*aloop__group_member_fn)(void *owner, void *arg, ssize_t status);

/* Gives a group without members an owner.  From now on no error of a member is
 * one of the group, and none cancels the others. */
void aloop__group_own(aloop_group *group, aloop__group_member_fn ended,
                      void *owner);

#endif
