/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/catalogue.h"

#include <string.h>

size_t catalogue_entry(const struct plan *plan, const struct plan_tag *t,
                       union catalogue_entry *out)
{
    const char *device = t->device < plan->header->devices.count
                             ? plan_text(plan, plan->devices[t->device].name)
                             : "";
    const char *texts[] = {plan_text(plan, t->path), plan_text(plan, t->unit), device,
                           plan_text(plan, t->description)};
    size_t lengths[4], used = sizeof out->tag;
    for (int i = 0; i < 4; i++) {
        lengths[i] = strnlen(texts[i], CATALOGUE_TEXT_MAX);
        memcpy(out->bytes + used, texts[i], lengths[i]);
        used += lengths[i];
    }
    size_t size = (used + 7) & ~(size_t)7;
    memset(out->bytes + used, 0, size - used);
    out->tag = (struct frame_tag){.id = t->id,
                                  .box = t->box,
                                  .device = t->device,
                                  .size = (uint16_t)size,
                                  .type = t->type,
                                  .path = (uint16_t)lengths[0],
                                  .unit = (uint16_t)lengths[1],
                                  .device_name = (uint16_t)lengths[2],
                                  .description = (uint16_t)lengths[3]};
    return size;
}
