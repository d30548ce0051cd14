/* The door of base: what every other folder speaks.
 *
 * A closed list.  A new part needs three users in other folders; until it has them it belongs to
 * the one that needs it.  From outside only this header is included. */
#ifndef VECTRON_BASE_H
#define VECTRON_BASE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/dir.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/number_text.h"
#include "base/pages.h"
#include "base/policy.h"
#include "base/schema.h"
#include "base/state.h"
#include "base/thread.h"
#include "base/value.h"
#include "base/work.h"

#endif
