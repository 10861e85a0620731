#include "region/fault_map.h"

static struct {
    unsigned kinds;
    uint64_t nth, times, count, struck;
    int error;
    bool drop;
} plan;

static lofti_map_ops table;

static bool strikes(unsigned kind)
{
    if ((plan.kinds & kind) == 0) {
        return false;
    }
    plan.count++;
    if (plan.count < plan.nth || plan.count - plan.nth >= plan.times) {
        return false;
    }
    plan.struck++;
    return true;
}

static int fault_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                     uint64_t off, void **out)
{
    if (strikes(FAULT_MAP_MAP) || (fixed && strikes(FAULT_MAP_FIXED))) {
        if (fixed && plan.drop) {
            (void)lofti_map_ops_system()->unmap(at, bytes);
        }
        return -plan.error;
    }
    return lofti_map_ops_system()->map(at, fixed, bytes, flags, handle, off, out);
}

static int fault_unmap(void *at, size_t bytes)
{
    return strikes(FAULT_MAP_UNMAP) ? -plan.error : lofti_map_ops_system()->unmap(at, bytes);
}

static int fault_remap(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to,
                       void **out)
{
    return strikes(FAULT_MAP_REMAP)
               ? -plan.error
               : lofti_map_ops_system()->remap(at, old_bytes, new_bytes, may_move, to, out);
}

static int fault_protect(void *at, size_t bytes, unsigned flags)
{
    return strikes(FAULT_MAP_PROTECT) ? -plan.error
                                      : lofti_map_ops_system()->protect(at, bytes, flags);
}

static int fault_advise(void *at, size_t bytes, int advice)
{
    return strikes(FAULT_MAP_ADVISE) ? -plan.error
                                     : lofti_map_ops_system()->advise(at, bytes, advice);
}

static int fault_sync(void *at, size_t bytes, bool wait)
{
    return strikes(FAULT_MAP_SYNC) ? -plan.error : lofti_map_ops_system()->sync(at, bytes, wait);
}

static int fault_lock(void *at, size_t bytes, bool on)
{
    return strikes(FAULT_MAP_LOCK) ? -plan.error : lofti_map_ops_system()->lock(at, bytes, on);
}

void fault_map_set(unsigned kinds, uint64_t nth, uint64_t times, int error, bool drop)
{
    plan.kinds = kinds;
    plan.nth = nth;
    plan.times = times;
    plan.count = 0;
    plan.struck = 0;
    plan.error = error;
    plan.drop = drop;
    table = (lofti_map_ops){
        .map = fault_map,
        .unmap = fault_unmap,
        .remap = fault_remap,
        .protect = fault_protect,
        .advise = fault_advise,
        .sync = fault_sync,
        .lock = fault_lock,
        .walk = lofti_map_ops_system()->walk,
    };
    lofti_map_ops_set(&table);
}

uint64_t fault_map_count(void) { return plan.count; }

uint64_t fault_map_clear(void)
{
    lofti_map_ops_set(NULL);
    return plan.struck;
}
