/* What there is of a spool when it is opened. */
#ifndef CAT_SPOOL_RECOVER_H
#define CAT_SPOOL_RECOVER_H

#include "spool_thread.h"

/* Seals what was filled when the last run has ended, removes what belongs to calls that have not
 * ended, and opens the file of what is rejected. False with errno set. */
bool cat_spool_recover(cat_spool_thread *t);

#endif
