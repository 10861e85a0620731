/*
 * loft/loft.h - everything.
 */
#ifndef LOFT_LOFT_H
#define LOFT_LOFT_H

#include "loft/arena.h"
#include "loft/error.h"
#include "loft/inspect.h"
#include "loft/pool.h"
#include "loft/region.h"
#include "loft/version.h"

#endif /* LOFT_LOFT_H */
