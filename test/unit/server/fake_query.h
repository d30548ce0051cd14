/* A query folder whose statements do what their text says, so that a test can make a session meet
 * every status at any time:
 *
 *   rows N       N rows of one INT, 0 .. N-1          big      a row that no output can hold
 *   ok           done, one row changed                fail     fails with a position
 *   refuse       cannot be prepared                   wait     waits for fake_wake, then is done
 *   copyin       takes data; rows = its bytes         copyfull the same, full after each piece
 *   copyout N    N pieces of 1000 bytes               copybad  fails after a piece
 *   copylate     is full after a piece, then fails    write N  an INSERT that waits for
 * fake_land(N) param        one row: its only parameter          remarks  a notice, a status,
 * progress, done
 *   find N       a SEARCH that waits as write does, and gives N rows
 */
#ifndef FAKE_QUERY_H
#define FAKE_QUERY_H

#include "query/query.h"

void fake_wake(void);     /* Wakes the portal that waits; waits for one if there is none. */
bool fake_wake_now(void); /* The same at once, or lands a write; false where nothing waits. */
/* What has come of "write N", once it waits: well, or DUPLICATE_KEY. */
void fake_land(unsigned n, bool is_well);
void fake_wait_for_writes(unsigned n); /* Until exactly so many wait. */
unsigned fake_writes(void);            /* That wait. */
unsigned fake_live(void);         /* Sessions, prepared statements and portals not yet freed. */
unsigned fake_cancels(void);      /* Cancel requests that fit. */
uint64_t fake_output_bytes(void); /* The highest that query_session_describe was told. */

#endif
